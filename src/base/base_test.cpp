#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"

namespace {

struct Inner {
  std::uint16_t port = 0;
  std::vector<std::string> names;
};
struct Outer {
  std::string image;
  std::optional<bool> init;
  std::map<std::string, Inner> inner;
};

}  // namespace

template <>
struct bryo::json::Fields<Inner> {
  static constexpr auto list = std::tuple{field("Port", &Inner::port), field("Names", &Inner::names, omit_empty)};
};
template <>
struct bryo::json::Fields<Outer> {
  static constexpr auto list =
      std::tuple{field("Image", &Outer::image), field("Init", &Outer::init), field("Inner", &Outer::inner, omit_empty)};
};

namespace bryo {
namespace {

TEST(Json, ReadsAsGoDoesAndWritesInOrder) {
  const auto outer =
      json::decode<Outer>(json::parse(R"({"image":"busybox","Unknown":1,"INNER":{"a":{"Port":80,"Names":null}}})"));
  EXPECT_EQ(outer.image, "busybox");
  EXPECT_FALSE(outer.init.has_value());
  EXPECT_EQ(outer.inner.at("a").port, 80);
  EXPECT_EQ(json::serialize(json::encode(outer)), R"({"Image":"busybox","Init":null,"Inner":{"a":{"Port":80}}})");
}

TEST(Json, RefusesWhatDoesNotFitAndNamesThePath) {
  for (const char* text :
       {R"({"Inner":{"a":{"Port":65536}}})", R"({"Inner":{"a":{"Port":-1}}})", R"({"Inner":{"a":{"Port":0.5}}})"}) {
    try {
      json::decode<Outer>(json::parse(text));
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
      EXPECT_THAT(error.what(), testing::HasSubstr("Inner.a.Port"));
    }
  }
}

TEST(Json, BoundsDepthAndRefusesGarbage) {
  EXPECT_THROW(json::parse(std::string(10000, '[')), Error);
  EXPECT_THROW(json::parse("{\"a\":1} x"), Error);
  EXPECT_THROW(json::parse(""), Error);
}

TEST(Digest, CVE_2024_3727_DigestIsValidatedBeforeUse) {
  EXPECT_EQ(Digest::of("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (const char* text : {"sha256:../../x", "sha512:00", "",
                           "sha256:", "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"})
    EXPECT_THROW(Digest::parse(text), Error) << text;
}

TEST(Time, RoundTripsGoTimestamps) {
  const auto time = parse_rfc3339("2016-08-22T22:41:36.12+02:00");
  ASSERT_TRUE(time);
  EXPECT_EQ(to_rfc3339_nano(*time), "2016-08-22T20:41:36.12Z");
  EXPECT_EQ(to_rfc3339_fixed(*time), "2016-08-22T20:41:36.120000000Z");
  EXPECT_FALSE(parse_rfc3339("2016-08-22"));
  EXPECT_FALSE(parse_rfc3339("2016-13-22T22:41:36Z"));
}

TEST(Time, ReadsGoDurations) {
  EXPECT_EQ(parse_duration("1h30m"), std::chrono::minutes(90));
  EXPECT_EQ(parse_duration("-1.5s"), std::chrono::milliseconds(-1500));
  EXPECT_EQ(parse_duration("0"), std::chrono::nanoseconds(0));
  for (const char* text : {"", "5", "s", "1x", "1.2.3s", "99999999h"}) EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Strings, CVE_2024_40635_NumbersAreNumbers) {
  EXPECT_EQ(parse_integer<std::uint32_t>("4294967295"), 4294967295u);
  for (const char* text : {"4294967296", "-1", "+0", " 0", "0x0", "", "1 "})
    EXPECT_FALSE(parse_integer<std::uint32_t>(text)) << text;
}

TEST(Error, CarriesErrnoAndContext) {
  const Error error = Error::from_errno(ENOENT, "open /x").within("start container");
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_EQ(error.number(), ENOENT);
  EXPECT_STREQ(error.what(), "start container: open /x: No such file or directory");
}

}  // namespace
}  // namespace bryo

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <future>
#include <thread>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "base/worker_pool.hpp"

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

TEST(Strings, PrintableIsAlwaysUtf8) {
  EXPECT_EQ(printable("plain é € 🙂"), "plain é € 🙂");
  EXPECT_EQ(printable("a\x1b[31m\x7f\n"), "a\\x1b[31m\\x7f\\x0a");
  // A lone continuation, a cut character, one that is too long, half of a surrogate pair, beyond U+10FFFF.
  EXPECT_EQ(printable("\x94|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80"),
            "\\x94|\\xe2\\x82|\\xc0\\xaf|\\xed\\xa0\\x80|\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("é€", 3), "é\\xe2…");
}

TEST(Error, CarriesErrnoAndContext) {
  const Error error = Error::from_errno(ENOENT, "open /x").within("start container");
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_EQ(error.number(), ENOENT);
  EXPECT_STREQ(error.what(), "start container: open /x: No such file or directory");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// No room for another thread's stack, as where a cgroup allows no more processes.
void allow_no_more_threads(bool none) {
  unsigned long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr || std::fscanf(file, "%lu", &pages) != 1) std::_Exit(2);
  std::fclose(file);
  const rlimit limit{none ? pages * 4096 + (1U << 20) : RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_AS, &limit);
}

TEST(WorkerPool, WhereThereIsNoThreadTasksWaitForOne) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto scenario = [] {
    WorkerPool pool(4);
    std::promise<void> begun, go_on, second, third;
    pool.post([&] {
      begun.set_value();
      go_on.get_future().wait();
    });
    begun.get_future().wait();
    allow_no_more_threads(true);
    pool.post([&] { second.set_value(); });
    go_on.set_value();
    second.get_future().wait();
    std::this_thread::sleep_for(WorkerPool::kIdleTime * 3 / 2);  // nobody is left
    pool.post([&] { third.set_value(); });
    allow_no_more_threads(false);
    pool.post([] {});
    third.get_future().wait();
    pool.stop();
    std::_Exit(0);
  };
  EXPECT_EXIT(scenario(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace bryo

#include "images/reference.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/error.hpp"

namespace bryo::images {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'b');

std::string message_of(std::string_view text) {
  try {
    return "parsed as " + Reference::parse(text).str();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    return error.message();
  }
}

TEST(Reference, FullAndFamiliarForms) {
  struct Row {
    std::string typed, full, familiar;
  };
  const Row rows[] = {
      {"busybox", "docker.io/library/busybox", "busybox"},
      {"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
      {"docker.io/busybox", "docker.io/library/busybox", "busybox"},
      {"index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"},
      {"pvnovarese/mprime:latest", "docker.io/pvnovarese/mprime:latest", "pvnovarese/mprime:latest"},
      {"127.0.0.1:5000/hello:userns", "127.0.0.1:5000/hello:userns", "127.0.0.1:5000/hello:userns"},
      {"localhost/a", "localhost/a", "localhost/a"},
      {"localhost:5000/a/b/c", "localhost:5000/a/b/c", "localhost:5000/a/b/c"},
      {"[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"},
      {"quay.io/x/y@" + kDigest, "quay.io/x/y@" + kDigest, "quay.io/x/y@" + kDigest},
      {"busybox:1@" + kDigest, "docker.io/library/busybox:1@" + kDigest, "busybox:1@" + kDigest},
      {"Registry/a", "Registry/a", "Registry/a"},
      {"a__b/c-d.e--f_g", "docker.io/a__b/c-d.e--f_g", "a__b/c-d.e--f_g"},
      {"xn--n3h.com/myimage", "xn--n3h.com/myimage", "xn--n3h.com/myimage"},
      {"library/busybox", "docker.io/library/busybox", "busybox"},
      {"docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"},
      {"busybox:_x.Y-1", "docker.io/library/busybox:_x.Y-1", "busybox:_x.Y-1"},
  };
  for (const Row& row : rows) {
    const Reference reference = Reference::parse(row.typed);
    EXPECT_EQ(reference.str(), row.full) << row.typed;
    EXPECT_EQ(reference.familiar(), row.familiar) << row.typed;
    EXPECT_EQ(Reference::parse(reference.str()), reference) << row.typed;
    EXPECT_EQ(Reference::parse(reference.familiar()), reference) << row.typed;
  }
}

TEST(Reference, DockersTextForMalformedNames) {
  const std::vector<std::string> malformed = {"",
                                              ":",
                                              "a:",
                                              ":tag",
                                              "a:b:c",
                                              "-a",
                                              "a-",
                                              "a..b",
                                              "a___b",
                                              "a/",
                                              "/a",
                                              "a//b",
                                              "a b",
                                              "../../etc/passwd",
                                              "a/../b",
                                              "a@sha256:abc",
                                              "a@",
                                              "a@sha512:" + std::string(128, 'a'),
                                              "a:-x",
                                              "a\n",
                                              "a:" + std::string(129, 'x'),
                                              "host:99999/a",
                                              "host:x/a",
                                              "[::1/a",
                                              "https://example.com/a",
                                              "a.com:5000/",
                                              "\xc3\xa9/a",
                                              std::string("a\0b", 3),
                                              "a:tag@" + kDigest + "@" + kDigest,
                                              "-host.com/a",
                                              "UPPER!/a",
                                              "%2e%2e/a"};
  for (const std::string& text : malformed) EXPECT_EQ(message_of(text), "invalid reference format") << text;
  EXPECT_EQ(message_of("a.com:5000"), "parsed as docker.io/library/a.com:5000") << "a tag, as Docker reads it";
}

TEST(Reference, DockersTextForUpperCase) {
  EXPECT_EQ(message_of("Foo"), "invalid reference format: repository name (library/Foo) must be lowercase");
  EXPECT_EQ(message_of("a.com/x/Foo:tag"), "invalid reference format: repository name (x/Foo) must be lowercase");
  EXPECT_EQ(message_of("Foo/bar"), "parsed as Foo/bar");
}

TEST(Reference, DockersTextForIdsAndLength) {
  EXPECT_EQ(message_of(std::string(64, 'a')),
            "invalid repository name (" + std::string(64, 'a') + "), cannot specify 64-byte hexadecimal strings");
  EXPECT_EQ(message_of(std::string(300, 'a')), "repository name must not be more than 255 characters");
  EXPECT_EQ(message_of("a.io/" + std::string(250, 'a')), "parsed as a.io/" + std::string(250, 'a'));
}

TEST(Reference, RepositoryAndTagOfThePullRequest) {
  EXPECT_EQ(Reference::parse("busybox", "1.2").str(), "docker.io/library/busybox:1.2");
  EXPECT_EQ(Reference::parse("busybox:old", "new").str(), "docker.io/library/busybox:new");
  EXPECT_EQ(Reference::parse("busybox", kDigest).str(), "docker.io/library/busybox@" + kDigest);
  EXPECT_EQ(Reference::parse("busybox", "").with_default_tag().str(), "docker.io/library/busybox:latest");
  EXPECT_THROW(Reference::parse("busybox", "a b"), Error);
}

TEST(Reference, HostileTextNeverCrashesAndAlwaysReadsBack) {
  std::mt19937 random(5);
  const std::string alphabet = "abzAZ019./:@_-[]sha256\n \xff\0%";
  int parsed = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string text;
    const auto length = random() % 24;
    for (std::size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    const auto reference = Reference::try_parse(text);
    if (!reference) continue;
    ++parsed;
    EXPECT_EQ(Reference::parse(reference->str()), *reference) << text;
    EXPECT_EQ(Reference::parse(reference->familiar()), *reference) << text;
    EXPECT_EQ(reference->name().find(".."), std::string::npos) << text;
  }
  EXPECT_GT(parsed, 100);
}

}  // namespace
}  // namespace bryo::images

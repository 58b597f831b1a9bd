#include "ids/subordinate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "ids/libsubid.hpp"
#include "ids/shadow_lock.hpp"

namespace bryo::ids {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SubRange sub(std::uint32_t first, std::uint32_t count) { return {HostId{first}, count}; }

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was thrown";
}

TEST(Subordinate, LinesOfOneUserInFileOrderByNameAndByNumber) {
  const std::string text =
      "alice:100000:65536\n# a comment\n\nbozo:5000:10000\n1001:400000:10\nbozo:300000:5\nbozo2:1:1\n";
  EXPECT_THAT(parse_subordinate(text, "f", {"bozo", "1001"}),
              ElementsAre(sub(5000, 10000), sub(400000, 10), sub(300000, 5)));
  EXPECT_TRUE(parse_subordinate(text, "f", {"nobody"}).empty());
  EXPECT_THAT(parse_subordinate("bozo:5000:1", "f", {"bozo"}), ElementsAre(sub(5000, 1)));
}

TEST(Subordinate, MalformedLineOfTheUserNamesFileAndLine) {
  for (const char* line : {"bozo:5000", "bozo:x:1", "bozo:5000:-1", "bozo:5000:0", "bozo:0:65536",
                           "bozo:4294967000:500", "bozo:5000:10:1", "bozo", "bozo: 5000:1", "bozo:5000:99999999999"}) {
    const auto text = std::string("alice:1:1\n") + line + "\n";
    EXPECT_THAT(message_of([&] { parse_subordinate(text, "/etc/subuid", {"bozo"}); }), HasSubstr("/etc/subuid line 2"))
        << line;
    EXPECT_THAT(parse_subordinate(text, "/etc/subuid", {"alice"}), ElementsAre(sub(1, 1))) << line;
  }
}

TEST(Subordinate, SeveralLinesMakeOneMap) {
  const auto map = map_over({sub(5000, 10), sub(90000, 20)}, "x");
  EXPECT_EQ(map.proc_text(), "0 5000 10\n10 90000 20\n");
}

TEST(Subordinate, OverlappingLinesAreRefused) {
  EXPECT_THAT(message_of([] {
                map_over({sub(5000, 10), sub(5009, 20)}, "user \"bozo\" in /etc/subuid");
              }),
              HasSubstr("user \"bozo\" in /etc/subuid"));
}

TEST(Subordinate, HostileTextNeverCrashes) {
  const auto level = log::level();
  log::set_level(log::Level::error);
  std::mt19937 random(1);
  const std::string alphabet = "bozo:0123456789\n\n::#- \t\r\xff\0x";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const auto length = random() % 60;
    for (std::size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    try {
      for (const SubRange& range : parse_subordinate(text, "f", {"bozo", "1"})) {
        EXPECT_GT(value(range.first), 0U);
        EXPECT_GT(range.count, 0U);
        EXPECT_LE(std::uint64_t{value(range.first)} + range.count, kAllIds);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    }
  }
  log::set_level(level);
}

TEST(Subordinate, NsswitchDecidesWhoAnswers) {
  EXPECT_EQ(subid_service("passwd: files sss\nsubid: files\n"), std::nullopt);
  EXPECT_EQ(subid_service("passwd: files\n#subid: sss\n"), std::nullopt);
  EXPECT_EQ(subid_service("subid:  sss # central\n"), "sss");
  EXPECT_EQ(subid_service(""), std::nullopt);
}

class SubordinateFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bryo-subid-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    ids_ = SubordinateIds({directory_ + "/subuid", directory_ + "/subgid", directory_ + "/nsswitch.conf"});
  }
  void TearDown() override {
    for (const char* name : {"/subuid", "/subgid", "/nsswitch.conf", "/subuid.lock"})
      ::unlink((directory_ + name).c_str());
    EXPECT_EQ(::rmdir(directory_.c_str()), 0) << "something is left in " << directory_;
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(directory_ + "/" + name) << text; }
  std::string read(const std::string& name) {
    std::stringstream text;
    text << std::ifstream(directory_ + "/" + name).rdbuf();
    return text.str();
  }
  std::string directory_;
  SubordinateIds ids_;
};

TEST_F(SubordinateFiles, MissingFilesMeanNoRanges) {
  EXPECT_TRUE(ids_.ranges(IdKind::user, {"bozo", 5000, 5000}).empty());
  EXPECT_EQ(ids_.next_free_start(), 100000U);
}

TEST_F(SubordinateFiles, NextFreeStartStepsOverBothFiles) {
  write("subuid", "a:100000:65536\nc:300000:100\n");
  write("subgid", "b:165536:65536\n");
  EXPECT_EQ(ids_.next_free_start(), 231072U);  // 231072+65536 ends in front of 300000
  write("subgid", "b:165536:65536\nd:290000:5\n");
  EXPECT_EQ(ids_.next_free_start(), 300100U);
}

TEST_F(SubordinateFiles, AddsTheDefaultRangesOnceAndKeepsMode) {
  write("subuid", "a:100000:65536");  // no newline at its end
  ASSERT_EQ(::chmod((directory_ + "/subuid").c_str(), 0600), 0);
  const User user{"dockremap", 990, 990};
  ids_.add_default_ranges(user);
  ids_.add_default_ranges(user);
  EXPECT_EQ(read("subuid"), "a:100000:65536\ndockremap:165536:65536\n");
  EXPECT_EQ(read("subgid"), "dockremap:165536:65536\n");
  struct stat info = {};
  ASSERT_EQ(::stat((directory_ + "/subuid").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  ASSERT_EQ(::stat((directory_ + "/subgid").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0644U);
}

TEST_F(SubordinateFiles, LockOfADeadProcessIsTakenOver) {
  write("subuid.lock", std::string("2147483000") + '\0');
  { const ShadowLock lock(directory_ + "/subuid"); }
  EXPECT_NE(::access((directory_ + "/subuid.lock").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace bryo::ids

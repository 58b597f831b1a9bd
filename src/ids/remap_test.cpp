#include "ids/remap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <vector>

#include "base/error.hpp"

namespace bryo::ids {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class FakeAccounts final : public Accounts {
 public:
  std::vector<User> users;
  std::vector<Group> groups;
  int created = 0;

  std::optional<User> user(std::string_view name) const override { return find(users, &User::name, name); }
  std::optional<User> user(std::uint32_t uid) const override { return find(users, &User::uid, uid); }
  std::optional<Group> group(std::string_view name) const override { return find(groups, &Group::name, name); }
  std::optional<Group> group(std::uint32_t gid) const override { return find(groups, &Group::gid, gid); }
  User create_system_user(std::string_view name) override {
    ++created;
    groups.push_back({std::string(name), 990});
    return users.emplace_back(User{std::string(name), 990, 990});
  }

 private:
  template <typename List, typename Member, typename Key>
  static std::optional<typename List::value_type> find(const List& list, Member member, const Key& key) {
    for (const auto& entry : list)
      if (entry.*member == key) return entry;
    return std::nullopt;
  }
};

class Remapping : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bryo-remap-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    ids_ = SubordinateIds({directory_ + "/subuid", directory_ + "/subgid", directory_ + "/nsswitch.conf"});
    accounts_.users = {{"root", 0, 0}, {"bozo", 5000, 5000}, {"alice", 1000, 1000}, {"poor", 7000, 7000}};
    accounts_.groups = {{"root", 0}, {"bozo", 5000}, {"staff", 50}};
    write("bozo:5000:10000\nalice:100000:65536\n1000:300000:65536\n", "bozo:5000:10000\nstaff:700000:65536\n");
  }
  void TearDown() override {
    for (const char* name : {"/subuid", "/subgid"}) ::unlink((directory_ + name).c_str());
    ::rmdir(directory_.c_str());
  }
  void write(const std::string& subuid, const std::string& subgid) {
    std::ofstream(directory_ + "/subuid") << subuid;
    std::ofstream(directory_ + "/subgid") << subgid;
  }
  Remap resolve(std::string_view text) { return resolve_remap(RemapSpec::parse(text), accounts_, ids_); }
  std::string message(std::string_view text) {
    try {
      resolve(text);
    } catch (const Error& error) {
      return error.message();
    }
    return "nothing was thrown";
  }
  std::string directory_;
  SubordinateIds ids_;
  FakeAccounts accounts_;
};

TEST_F(Remapping, LabUserWithTenThousandIdsWorksWithAWarning) {
  const Remap remap = resolve("bozo");
  EXPECT_EQ(remap.maps.uid.proc_text(), "0 5000 10000\n");
  EXPECT_EQ(remap.maps.gid.proc_text(), "0 5000 10000\n");
  EXPECT_EQ(remap.user + ":" + remap.group, "bozo:bozo");
  ASSERT_EQ(remap.warnings.size(), 2U);
  EXPECT_THAT(remap.warnings[0], HasSubstr("10000"));
}

TEST_F(Remapping, EveryFormOfDockerGivesTheSameMap) {
  const Remap expected = resolve("bozo");
  for (const char* text : {"5000", "bozo:bozo", "5000:5000", "bozo:5000", "5000:bozo"})
    EXPECT_EQ(resolve(text).maps, expected.maps) << text;
}

TEST_F(Remapping, SeveralRangesAreUsedInFileOrder) {
  const Remap remap = resolve("alice:staff");
  EXPECT_EQ(remap.maps.uid.proc_text(), "0 100000 65536\n65536 300000 65536\n");
  EXPECT_EQ(remap.maps.gid.proc_text(), "0 700000 65536\n") << "lines of the group serve when the user has none";
  EXPECT_EQ(remap.group, "staff");
  EXPECT_THAT(remap.warnings, IsEmpty());
}

TEST_F(Remapping, IdsSharedWithAnotherUserAreWarnedOf) {
  write("bozo:200000:65536\nother:230000:10\nfar:300000:65536\n5000:900000:1\n", "bozo:200000:65536\n");
  const Remap remap = resolve("bozo");
  ASSERT_EQ(remap.warnings.size(), 1U);
  EXPECT_THAT(remap.warnings[0], HasSubstr("other:230000:10"));
}

TEST_F(Remapping, ErrorsSayWhatToDo) {
  EXPECT_EQ(message("poor"),
            "no subordinate ids for user \"poor\" in " + directory_ + "/subuid: add a line such as poor:165536:65536");
  EXPECT_THAT(message("alice"), HasSubstr("/subgid: add a line such as alice:165536:65536"));
  EXPECT_THAT(message("ghost"), HasSubstr("user \"ghost\" not found"));
  EXPECT_THAT(message("bozo:ghosts"), HasSubstr("group \"ghosts\" not found"));
  EXPECT_THAT(message("4242"), HasSubstr("uid 4242 has no entry in /etc/passwd"));
  EXPECT_THAT(message("bozo:4242"), HasSubstr("gid 4242 has no entry in /etc/group"));
  EXPECT_THAT(message("a:b:c"), HasSubstr("invalid user/group specification in --userns-remap: \"a:b:c\""));
  for (const char* text : {"", ":", "bozo:", ":bozo", "-x", "a/b", "a b", "a\nb"})
    EXPECT_THAT(message(text), HasSubstr("invalid user/group specification")) << text;
}

// The first of these overflowed into uid 0 elsewhere; none may fall back to a look-up by name.
TEST_F(Remapping, CVE_2024_40635_NumbersOutOfRangeAreRefused) {
  accounts_.users.push_back({"4294967296", 1, 1});
  for (const char* text : {"4294967296", "4294967295", "99999999999999999999", "bozo:4294967296"})
    EXPECT_THAT(message(text), HasSubstr("is not an id of 32 bits")) << text;
}

TEST_F(Remapping, OverlappingRangesOfOneUserAreRefused) {
  write("bozo:5000:10000\nbozo:14999:5\n", "bozo:5000:10000\n");
  EXPECT_THAT(message("bozo"), HasSubstr("overlap"));
}

TEST_F(Remapping, HostRootIsNeverHandedOut) {
  write("bozo:0:65536\n", "bozo:0:65536\n");
  EXPECT_THAT(message("bozo"), HasSubstr("would hand out id 0"));
}

TEST_F(Remapping, RootTurnsItOff) {
  const Remap remap = resolve("root");
  EXPECT_TRUE(remap.maps.is_identity());
  EXPECT_THAT(remap.warnings.at(0), HasSubstr("off"));
}

TEST_F(Remapping, DefaultCreatesUserAndRangesOnce) {
  EXPECT_EQ(resolve("default").maps.uid.proc_text(), "0 165536 65536\n");  // 100000 is alice's
  EXPECT_EQ(resolve("default").maps.directory_name(), "165536.165536");
  EXPECT_EQ(accounts_.created, 1);
  EXPECT_EQ(resolve("dockremap").maps.directory_name(), "165536.165536");
}

TEST_F(Remapping, DockremapByNameIsNotCreated) { EXPECT_THAT(message("dockremap"), HasSubstr("not found")); }

TEST(RemapSpec, HostileTextNeverCrashes) {
  std::mt19937 random(2);
  const std::string alphabet = "abc:0129-/\\ \n\xff\0.,";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const auto length = random() % 20;
    for (std::size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    try {
      EXPECT_FALSE(RemapSpec::parse(text).user.empty());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    }
  }
}

TEST(NssAccounts, FindsRootAndNothingElse) {
  const NssAccounts accounts;
  EXPECT_EQ(accounts.user("root").value().uid, 0U);
  EXPECT_EQ(accounts.user(0U).value().name, "root");
  EXPECT_EQ(accounts.group(0U).value().gid, 0U);
  EXPECT_FALSE(accounts.user("no-such-user-here"));
  EXPECT_FALSE(accounts.group("no-such-group-here"));
}

}  // namespace
}  // namespace bryo::ids

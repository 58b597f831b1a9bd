// What people are told when a limit cannot be kept. The placement itself is tested in the virtual machine (tests/vm):
// it takes cgroup v2 and a systemd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rootless/cgroup_home.hpp"

namespace bryo::rootless {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

CgroupFacts user_with_systemd() {
  CgroupFacts facts;
  facts.unified = true;
  facts.of_host = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"};
  facts.of_place = {"memory", "pids"};
  facts.own = "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope";
  facts.directory = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/bryo-containers-1.scope";
  facts.user = "bozo";
  return facts;
}

TEST(CgroupRemedy, OfAUserNamesTheDropInOfTheUsersSystemd) {
  EXPECT_THAT(cgroup_remedy(user_with_systemd(), "cpuset"),
              AllOf(HasSubstr("sudo mkdir -p /etc/systemd/system/user@.service.d && printf "
                              "'[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee "
                              "/etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"),
                    HasSubstr("user bozo")));
}

TEST(CgroupRemedy, OnlyNamesControllersThatTheHostHas) {
  CgroupFacts facts = user_with_systemd();
  facts.of_host = {"memory", "pids", "cpu"};
  EXPECT_THAT(cgroup_remedy(facts, "cpu"), HasSubstr("Delegate=cpu memory pids\\n"));
  EXPECT_THAT(cgroup_remedy(facts, "cpuset"), AllOf(HasSubstr("this kernel"), Not(HasSubstr("Delegate"))));
}

TEST(CgroupRemedy, OfASystemUnitIsADropInOfThatUnit) {
  CgroupFacts facts = user_with_systemd();
  facts.own = "/sys/fs/cgroup/system.slice/system-bryo.slice/bryo@1000.service";
  facts.directory = facts.own;
  EXPECT_THAT(cgroup_remedy(facts, "io"), AllOf(HasSubstr("/etc/systemd/system/bryo@1000.service.d/delegate.conf"),
                                                HasSubstr("restarts the unit")));
  // Not delegated at all.
  facts.directory.clear();
  EXPECT_THAT(cgroup_remedy(facts, ""), HasSubstr("/etc/systemd/system/bryo@1000.service.d"));
}

TEST(CgroupRemedy, WithoutAPlaceSaysHowToGetOne) {
  CgroupFacts facts = user_with_systemd();
  facts.directory.clear();
  facts.refusal = "connect to systemd at /run/user/1000/systemd/private: No such file or directory";
  EXPECT_THAT(cgroup_remedy(facts, ""),
              AllOf(HasSubstr(facts.refusal), HasSubstr("systemctl --user enable --now bryo;"),
                    HasSubstr("loginctl enable-linger bozo")));
}

TEST(CgroupRemedy, OnVersion1IsABootOption) {
  EXPECT_THAT(cgroup_remedy({}, "memory"), HasSubstr("systemd.unified_cgroup_hierarchy=1"));
}

}  // namespace
}  // namespace bryo::rootless

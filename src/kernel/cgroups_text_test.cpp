// Cgroups, the part without a kernel: layouts from mountinfo, limits as texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "kernel/cgroup_delegation.hpp"
#include "kernel/cgroup_details.hpp"
#include "kernel/cgroup_places.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/cgroup_writes.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::kernel {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// --- the layout, from text ---

constexpr std::string_view kV2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
    "33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /var/lib/x\\040y/memory rw - cgroup cgroup rw,memory\n"
    "36 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

TEST(CgroupLayout, KnowsTheThreeKinds) {
  EXPECT_EQ(CgroupLayout::parse("").version(), CgroupVersion::none);
  const auto v2 = CgroupLayout::parse(kV2);
  EXPECT_EQ(v2.version(), CgroupVersion::v2);
  EXPECT_EQ(v2.unified(), "/sys/fs/cgroup");
  EXPECT_EQ(v2.docker_version(), "2");

  const auto hybrid = CgroupLayout::parse(kHybrid);
  EXPECT_EQ(hybrid.version(), CgroupVersion::hybrid);
  EXPECT_EQ(hybrid.docker_version(), "1");
  EXPECT_EQ(hybrid.hierarchies().at("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(hybrid.hierarchies().at("memory"), "/sys/fs/cgroup/memory");
  EXPECT_TRUE(hybrid.has("cpu"));
  EXPECT_FALSE(hybrid.has("pids"));
  EXPECT_FALSE(hybrid.hierarchies().contains("xattr"));

  // Only the service manager's hierarchy, and v2 for everything else: that is v2.
  const auto systemd = CgroupLayout::parse(
      "1 1 0:1 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
      "1 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(systemd.version(), CgroupVersion::v2);
}

TEST(CgroupLayout, OddNamesAndGarbageDoNoHarm) {
  const auto layout =
      CgroupLayout::parse("x\n - \n1 2 3 - cgroup\n32 31 0:29 / /mnt/a\\040b rw - cgroup cgroup rw,pids\n");
  EXPECT_EQ(layout.hierarchies().at("pids"), "/mnt/a b");
}

// --- the own v2 cgroup ---

constexpr const char* kUserUnit = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/bryod.service\n";

TEST(CgroupDelegation, OfAUserUnit) {
  EXPECT_EQ(unified_directory(kUserUnit, kV2),
            "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/bryod.service");
  EXPECT_EQ(unified_directory("0::/\n", kV2), "/sys/fs/cgroup");
}

TEST(CgroupDelegation, OnAHybridHostInTheV2Part) {
  const std::string cgroups =
      "12:memory:/user.slice\n1:name=systemd:/user.slice/session-1.scope\n"
      "0::/user.slice/session-1.scope\n";
  EXPECT_EQ(unified_directory(cgroups, kHybrid), "/sys/fs/cgroup/unified/user.slice/session-1.scope");
}

TEST(CgroupDelegation, NoneOnV1) {
  EXPECT_EQ(unified_directory("4:memory:/a\n", "36 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            "");
  EXPECT_EQ(unified_directory("0::/a\n", ""), "");
}

TEST(CgroupDelegation, AMountMayShowAPartOnly) {
  // What `docker run --cgroupns=host` shows: the container's own cgroup is the root of the mount.
  const std::string_view mount = "35 24 0:30 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
  EXPECT_EQ(unified_directory("0::/docker/abc\n", mount), "/sys/fs/cgroup");
  EXPECT_EQ(unified_directory("0::/docker/abc/x\n", mount), "/sys/fs/cgroup/x");
  EXPECT_EQ(unified_directory("0::/docker/abcd\n", mount), "");
  EXPECT_EQ(unified_directory("0::/\n", mount), "");
  // A process of another cgroup namespace, and a mount from one.
  EXPECT_EQ(unified_directory("0::/../other\n", kV2), "");
  EXPECT_EQ(unified_directory("0::/a\n", "35 24 0:30 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n"), "");
}

TEST(CgroupDelegation, TheUsualMountWins) {
  const std::string mounts = "34 24 0:30 / /var/lib/x/rootfs/sys/fs/cgroup rw - cgroup2 cgroup rw\n" + std::string(kV2);
  EXPECT_EQ(unified_directory("0::/a\n", mounts), "/sys/fs/cgroup/a");
}

TEST(CgroupPlaces, ControllersOfAHierarchyKeepTheKernelsOrder) {
  const auto hierarchies = v1_hierarchies(
      "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
      "cpuset\t3\t1\t1\ncpu\t12\t9\t1\ncpuacct\t12\t9\t1\nmemory\t0\t62\t1\npids\t8\t1\t1\ngarbage\n");
  EXPECT_THAT(hierarchies,
              UnorderedElementsAre(ElementsAre("cpuset"), ElementsAre("cpu", "cpuacct"), ElementsAre("pids")));
  EXPECT_THAT(v1_hierarchies(""), IsEmpty());
}

TEST(CgroupPlaces, TellTheSameAsTheTableOfMounts) {
  const auto usual = layout_of_usual_places();
  if (!usual) GTEST_SKIP() << "the hierarchies of this host are elsewhere";
  const auto table = CgroupLayout::detect();
  EXPECT_EQ(usual->version(), table.version());
  EXPECT_EQ(usual->hierarchies(), table.hierarchies());
  EXPECT_EQ(usual->unified(), table.unified());
}

TEST(CgroupPath, RefusesWhatIsNotOne) {
  for (const char* path : {"", "/", "bryo", "/bryo/../x", "/bryo//x", "/bryo/.", "/bryo/x/", "/a\nb"})
    EXPECT_THROW(check_cgroup_path(path), Error) << path;
  EXPECT_NO_THROW(check_cgroup_path("/bryo/abc-1.2_3"));
}

// --- limits to texts ---

std::vector<std::string> texts(const std::vector<CgroupWrite>& writes) {
  std::vector<std::string> out;
  for (const auto& write : writes) out.push_back(write.file + "=" + write.value);
  return out;
}

TEST(CgroupWrites, V1HasTheFilesOfEachController) {
  CgroupLimits limits;
  limits.memory = 64 << 20;
  limits.memory_swap = 128 << 20;
  limits.cpu_shares = 512;
  limits.cpu_quota = 50000;
  limits.cpu_period = 100000;
  limits.cpuset_cpus = "0";
  limits.pids_max = 100;
  limits.io_read_bps = {{8, 0, 1048576}};
  limits.devices = {{true, 'c', 1, 3, "rwm"}};
  EXPECT_THAT(texts(cgroup_writes_v1(limits)),
              ElementsAre("cpuset.cpus=0", "memory.limit_in_bytes=67108864", "memory.memsw.limit_in_bytes=134217728",
                          "cpu.shares=512", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000", "pids.max=100",
                          "blkio.throttle.read_bps_device=8:0 1048576", "devices.deny=a", "devices.allow=c 1:3 rwm"));
}

TEST(CgroupWrites, RdmaIsOneLineADeviceOnV2Only) {
  CgroupLimits limits;
  limits.rdma = {{"mlx5_0", 2, std::nullopt}, {"mlx5_1", std::nullopt, 3}};
  EXPECT_THAT(texts(cgroup_writes_v2(limits)), ElementsAre("rdma.max=mlx5_0 hca_handle=2 hca_object=max",
                                                           "rdma.max=mlx5_1 hca_handle=max hca_object=3"));
  EXPECT_THROW(cgroup_writes_v1(limits), Error);
  limits.rdma = {{"mlx5_0 hca_handle=9", 2, 2}};
  EXPECT_THROW(cgroup_writes_v2(limits), Error);
}

TEST(CgroupDetails, CpuListsAreRangesAndNumbers) {
  EXPECT_THAT(parse_cpu_list("0-2,5\n"), ElementsAre(0, 1, 2, 5));
  for (const char* bad : {"", "x", "1-", "-1", "70000", "1,,2"}) EXPECT_THAT(parse_cpu_list(bad), IsEmpty()) << bad;
}

TEST(CgroupWrites, V2SplitsSwapFromMemoryAndConvertsWeights) {
  CgroupLimits limits;
  limits.memory = 64 << 20;
  limits.memory_swap = 96 << 20;
  limits.memory_reservation = 32 << 20;
  limits.cpu_shares = 1024;
  limits.cpu_quota = 50000;
  limits.cpu_period = 100000;
  limits.pids_max = -1;
  limits.io_weight = 500;
  limits.io_write_iops = {{8, 16, 10}};
  limits.unified = {{"memory.high", "1000"}};
  EXPECT_THAT(texts(cgroup_writes_v2(limits)),
              ElementsAre("memory.swap.max=33554432", "memory.max=67108864", "memory.low=33554432", "cpu.weight=100",
                          "cpu.max=50000 100000", "pids.max=max", "io.weight=4950", "io.max=8:16 wiops=10",
                          "memory.high=1000"));
}

TEST(CgroupWrites, NothingSetMeansNothingWritten) {
  EXPECT_TRUE(cgroup_writes_v1({}).empty());
  EXPECT_TRUE(cgroup_writes_v2({}).empty());
}

TEST(CgroupWrites, WhatAVersionCannotDoIsAnError) {
  CgroupLimits limits;
  limits.unified = {{"memory.high", "1"}};
  EXPECT_THROW(cgroup_writes_v1(limits), Error);
  limits.unified = {{"../cgroup.procs", "1"}};
  EXPECT_THROW(cgroup_writes_v2(limits), Error);
  limits = {};
  limits.oom_kill_disable = true;
  EXPECT_THROW(cgroup_writes_v2(limits), Error);
  limits = {};
  limits.memory_swap = 5;
  EXPECT_THROW(cgroup_writes_v2(limits), Error);
  limits.memory = 10;
  EXPECT_THROW(cgroup_writes_v1(limits), Error);
  limits = {};
  limits.hugepages = {{"../x", 1}};
  EXPECT_THROW(cgroup_writes_v1(limits), Error);
}

TEST(CgroupWrites, WeightsKeepTheirEnds) {
  EXPECT_EQ(cpu_shares_to_weight(2), 1u);
  EXPECT_EQ(cpu_shares_to_weight(1024), 100u);
  EXPECT_EQ(cpu_shares_to_weight(262144), 10000u);
  EXPECT_EQ(io_weight_to_v2(10), 1u);
  EXPECT_EQ(io_weight_to_v2(1000), 10000u);
}

}  // namespace
}  // namespace bryo::kernel

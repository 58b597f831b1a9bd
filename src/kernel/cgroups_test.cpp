#include "kernel/cgroups.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_devices.hpp"
#include "kernel/cgroup_moves.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/cgroup_writes.hpp"

namespace bryo::kernel {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// --- the kernel ---

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    layout_ = CgroupLayout::detect();
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to make cgroups";
    if (layout_.version() == CgroupVersion::none) GTEST_SKIP() << "no cgroup hierarchy is mounted";
    if (layout_.version() == CgroupVersion::v2 && !layout_.has("memory")) GTEST_SKIP() << "no memory controller";
  }
  void TearDown() override {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    if (layout_.version() == CgroupVersion::none) return;
    ContainerCgroup::open(layout_, parent_).remove();
    EXPECT_FALSE(ContainerCgroup::open(layout_, parent_).exists());
  }
  ContainerCgroup make(const CgroupLimits& limits = {}, const std::string& name = "c1") const {
    return ContainerCgroup::create(layout_, parent_ + "/" + name, limits);
  }
  std::string file(const std::string& controller, const std::string& name, const std::string& leaf = "c1") const {
    std::ifstream in(hierarchy_of(layout_, controller) + parent_ + "/" + leaf + "/" + name);
    std::stringstream out;
    out << in.rdbuf();
    return std::string(trim(out.str()));
  }
  bool v2() const { return layout_.version() == CgroupVersion::v2; }
  pid_t sleeper() {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::pause();
      ::_exit(0);
    }
    children_.push_back(child);
    return child;
  }
  int reap(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    std::erase(children_, child);
    return status;
  }

  CgroupLayout layout_;
  std::string parent_ = "/bryo-cgroup-test-" + std::to_string(::getpid());
  std::vector<pid_t> children_;
};

TEST_F(CgroupTest, LimitsAreReallyWritten) {
  CgroupLimits limits;
  limits.memory = 64 << 20;
  limits.memory_reservation = 32 << 20;
  if (layout_.limits_swap()) limits.memory_swap = 128 << 20;
  limits.kernel_memory = 32 << 20;  // tolerated where it is gone
  limits.cpu_shares = 512;
  limits.cpu_quota = 50000;
  limits.cpu_period = 100000;
  limits.pids_max = 100;
  const auto cgroup = make(limits);
  EXPECT_TRUE(cgroup.exists());
  const auto stats = cgroup.stats();
  EXPECT_EQ(stats.memory_limit, 64u << 20);
  EXPECT_EQ(stats.pids_limit, 100u);
  if (v2()) {
    EXPECT_EQ(file("cpu", "cpu.max"), "50000 100000");
  } else {
    EXPECT_EQ(file("cpu", "cpu.shares"), "512");
    EXPECT_EQ(file("cpu", "cpu.cfs_quota_us"), "50000");
    EXPECT_EQ(file("memory", "memory.soft_limit_in_bytes"), "33554432");
    const std::string swap = layout_.limits_swap() ? "134217728" : "";
    EXPECT_EQ(file("memory", "memory.memsw.limit_in_bytes"), swap);
  }
  EXPECT_TRUE(cgroup.remove());
  EXPECT_FALSE(cgroup.exists());
  EXPECT_TRUE(cgroup.remove());
}

TEST_F(CgroupTest, UpdateRaisesAndLowersMemoryWithSwap) {
  if (!layout_.limits_swap()) GTEST_SKIP() << "the kernel does not limit swap";
  CgroupLimits limits;
  limits.memory = 32 << 20;
  limits.memory_swap = 32 << 20;
  const auto cgroup = make(limits);
  limits.memory = 256 << 20;
  limits.memory_swap = 512 << 20;
  cgroup.update(limits);
  EXPECT_EQ(cgroup.stats().memory_limit, 256u << 20);
  limits.memory = 32 << 20;
  limits.memory_swap = 64 << 20;
  cgroup.update(limits);
  EXPECT_EQ(cgroup.stats().memory_limit, 32u << 20);
  CgroupLimits only_pids;
  only_pids.pids_max = 7;
  cgroup.update(only_pids);
  EXPECT_EQ(cgroup.stats().pids_limit, 7u);
  EXPECT_EQ(cgroup.stats().memory_limit, 32u << 20);
}

// Somebody else has made the parent and not filled it yet: another container's start, at the same moment.
TEST_F(CgroupTest, AParentWithoutProcessorsGetsThoseAboveIt) {
  const std::string cpusets = hierarchy_of(layout_, "cpuset");
  if (v2() || cpusets.empty()) GTEST_SKIP() << "v1's cpusets are meant";
  ASSERT_EQ(::mkdir((cpusets + parent_).c_str(), 0755), 0);
  ASSERT_EQ(::mkdir((cpusets + parent_ + "/between").c_str(), 0755), 0);
  const auto cgroup = make({}, "between/c1");
  EXPECT_NE(file("cpuset", "cpuset.cpus", "between/c1"), "");
  EXPECT_NE(file("cpuset", "cpuset.mems", "between/c1"), "");
  cgroup.add(sleeper());
}

TEST_F(CgroupTest, MissingControllerAndBadValueAreNamedAndLeaveNothing) {
  CgroupLimits huge;
  huge.hugepages = {{"3MB", 1}};
  try {
    make(huge);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("hugetlb"));
  }
  EXPECT_FALSE(ContainerCgroup::open(layout_, parent_ + "/c1").exists());
  CgroupLimits cpus;
  cpus.cpuset_cpus = "4000";
  EXPECT_THROW(make(cpus), Error);
  EXPECT_FALSE(ContainerCgroup::open(layout_, parent_ + "/c1").exists());
}

TEST_F(CgroupTest, NewCpusetsInheritSoThatProcessesFit) {
  if (v2() || !layout_.has("cpuset")) GTEST_SKIP() << "cpuset of v1 only";
  const auto cgroup = make({}, "a/b/c");
  EXPECT_FALSE(file("cpuset", "cpuset.cpus", "a/b/c").empty());
  EXPECT_FALSE(file("cpuset", "cpuset.mems", "a/b/c").empty());
  const pid_t child = sleeper();
  cgroup.add(child);
  EXPECT_THAT(cgroup.pids(), ElementsAre(child));
}

TEST_F(CgroupTest, OpenDescriptorsPutAProcessInEverywhere) {
  const auto cgroup = make();
  const auto procs = cgroup.open_procs();
  const UniqueFd directory = cgroup.open_directory();
  EXPECT_EQ(procs.empty(), v2());
  EXPECT_EQ(static_cast<bool>(directory), v2());
  if (v2()) return;
  // Not cgroup.procs, which stops every fork of the host and waits for an RCU grace period.
  for (const auto& fd : procs)
    EXPECT_EQ(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd.get())).filename(), "tasks");
  const pid_t child = sleeper();
  const std::string number = std::to_string(child);
  for (const auto& fd : procs) EXPECT_GT(::write(fd.get(), number.data(), number.size()), 0);
  std::ifstream in("/proc/" + number + "/cgroup");
  std::stringstream text;
  text << in.rdbuf();
  for (const char* controller : {"memory", "pids", "devices", "freezer", "cpu"})
    EXPECT_THAT(text.str(), HasSubstr(std::string(controller) + ":" + parent_ + "/c1"));
}

TEST_F(CgroupTest, FreezeStopsAndThawGoesOnAndKillReachesTheFrozen) {
  const auto cgroup = make();
  std::vector<pid_t> members{sleeper(), sleeper(), sleeper()};
  for (const pid_t member : members) cgroup.add(member);
  cgroup.freeze();
  EXPECT_TRUE(cgroup.frozen());
  cgroup.thaw();
  EXPECT_FALSE(cgroup.frozen());
  cgroup.freeze();
  EXPECT_FALSE(cgroup.remove());
  cgroup.kill_all();
  for (const pid_t member : members) EXPECT_EQ(WTERMSIG(reap(member)), SIGKILL);
  EXPECT_TRUE(cgroup.pids().empty());
  EXPECT_TRUE(cgroup.remove());
}

TEST_F(CgroupTest, KillAllOutrunsAForkBomb) {
  CgroupLimits limits;
  limits.pids_max = 200;
  const auto cgroup = make(limits);
  const pid_t bomb = ::fork();
  if (bomb == 0) {
    cgroup.add(0);
    ::signal(SIGCHLD, SIG_IGN);
    while (true) {
      ::fork();
      ::usleep(100);
    }
  }
  children_.push_back(bomb);
  while (cgroup.pids().size() < 50) ::usleep(1000);
  cgroup.kill_all();
  EXPECT_EQ(WTERMSIG(reap(bomb)), SIGKILL);
  bool removed = false;
  for (int i = 0; i < 2000 && !removed; ++i) {
    removed = cgroup.remove();
    if (!removed) ::usleep(1000);
  }
  EXPECT_TRUE(removed);
}

TEST_F(CgroupTest, StatsCountMemoryProcessesAndTime) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has a thread of its own in every process";
#endif
  CgroupLimits limits;
  limits.pids_max = 50;
  const auto cgroup = make(limits);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    cgroup.add(::getpid());
    std::vector<char> memory(8 << 20, 'x');
    while (std::clock() < CLOCKS_PER_SEC / 5) {  // user and system time are sampled by the tick
    }
    if (::write(ready[1], memory.data(), 1) != 1) ::_exit(1);
    ::pause();
  }
  children_.push_back(child);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  const auto stats = cgroup.stats();
  EXPECT_GT(stats.memory_usage, 7u << 20);
  EXPECT_GT(stats.cpu_total, 1'000'000u);
  EXPECT_GT(stats.cpu_user + stats.cpu_system, 0u);
  EXPECT_EQ(stats.pids_current, 1u);
  EXPECT_EQ(stats.pids_limit, 50u);
  EXPECT_FALSE(stats.memory_stat.empty());
  EXPECT_EQ(cgroup.oom_kills(), 0u);
}

TEST_F(CgroupTest, OomKillIsCounted) {
  CgroupLimits limits;
  limits.memory = 16 << 20;
  if (layout_.limits_swap()) limits.memory_swap = 16 << 20;
  const auto cgroup = make(limits);
  const pid_t child = ::fork();
  if (child == 0) {
    cgroup.add(::getpid());
    std::vector<char> memory(128 << 20, 'x');
    ::_exit(memory[77] == 'x' ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(cgroup.oom_kills(), 1u);
}

TEST_F(CgroupTest, RemoveTakesWhatTheContainerMadeBelow) {
  const auto cgroup = make();
  const auto below = make({}, "c1/inner/deep");
  EXPECT_TRUE(below.exists());
  EXPECT_TRUE(cgroup.remove());
  EXPECT_FALSE(below.exists());
}

TEST_F(CgroupTest, FastMovesComeAndGoWithTheirObject) {
  const auto has_name = [] {
    std::ifstream in("/proc/self/cgroup");
    std::stringstream text;
    text << in.rdbuf();
    return text.str().find("name=bryo:") != std::string::npos;
  };
  if (has_name()) GTEST_SKIP() << "an engine on this host holds it already";
  {
    const FastCgroupMoves moves(layout_);
    if (!moves.active()) GTEST_SKIP() << "not on this kernel";
    EXPECT_TRUE(has_name());
    const auto cgroup = make();
    const pid_t child = sleeper();  // it has a copy of the descriptor
    cgroup.add(child);
    ::kill(child, SIGKILL);
    reap(child);
  }
  for (int i = 0; i < 5000 && has_name(); ++i) ::usleep(1000);
  EXPECT_FALSE(has_name());
}

bool can_open(const char* path) {
  const UniqueFd fd(::open(path, O_RDWR | O_CLOEXEC));
  return static_cast<bool>(fd);
}

TEST_F(CgroupTest, DeviceRulesDenyAllButTheList) {
  if (!v2() && !layout_.has("devices")) GTEST_SKIP() << "no device controller";
  CgroupLimits limits;
  limits.devices = {{false, 'a', {}, {}, "rwm"}, {true, 'c', 1, 3, "rwm"}, {true, 'c', 1, 5, "rwm"}};
  const auto cgroup = make(limits);
  const pid_t child = ::fork();
  if (child == 0) {
    cgroup.add(::getpid());
    ::_exit((can_open("/dev/null") ? 0 : 1) | (can_open("/dev/zero") ? 0 : 2) | (can_open("/dev/full") ? 4 : 0) |
            (can_open("/dev/urandom") ? 8 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// --- v2, in whatever v2 hierarchy there is: a hybrid host has one without the controllers ---

class UnifiedCgroupTest : public CgroupTest {
 protected:
  void SetUp() override {
    const auto host = CgroupLayout::detect();
    if (::geteuid() != 0 || host.unified().empty()) GTEST_SKIP() << "needs root and a v2 hierarchy";
    layout_ = CgroupLayout::parse("1 1 0:1 / " + host.unified() + " rw - cgroup2 cgroup2 rw\n");
    std::ifstream(layout_.unified() + "/cgroup.subtree_control") >> enabled_before_;
  }
  void TearDown() override {
    CgroupTest::TearDown();
    // What this host did not have on is off again.
    if (layout_.version() == CgroupVersion::v2 && enabled_before_.empty())
      for (const char* controller : {"hugetlb", "cpu", "cpuset", "io", "memory", "pids"})
        std::ofstream(layout_.unified() + "/cgroup.subtree_control") << "-" << controller << std::flush;
  }
  std::string enabled_before_;
};

TEST_F(UnifiedCgroupTest, FreezeThawKillAndRemove) {
  const auto cgroup = make({}, "a/c1");
  EXPECT_TRUE(cgroup.open_procs().empty());
  EXPECT_TRUE(cgroup.open_directory());
  std::vector<pid_t> members{sleeper(), sleeper()};
  for (const pid_t member : members) cgroup.add(member);
  EXPECT_EQ(cgroup.pids().size(), 2u);
  cgroup.freeze();
  EXPECT_TRUE(cgroup.frozen());
  cgroup.thaw();
  EXPECT_FALSE(cgroup.frozen());
  cgroup.freeze();
  cgroup.kill_all();
  for (const pid_t member : members) EXPECT_EQ(WTERMSIG(reap(member)), SIGKILL);
  bool removed = false;
  for (int i = 0; i < 1000 && !removed; ++i) removed = cgroup.remove();
  EXPECT_TRUE(removed);
}

// A write from a page that nobody brings: it waits in the kernel, where no freezer stops it, and dies when killed.
[[noreturn]] void wait_in_the_kernel() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC));
  struct uffdio_api api = {UFFD_API, 0, 0};
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register missing = {};
  missing.range = {reinterpret_cast<std::uintptr_t>(page), 4096};
  missing.mode = UFFDIO_REGISTER_MODE_MISSING;
  int ends[2];
  if (faults < 0 || ::ioctl(faults, UFFDIO_API, &api) != 0 || ::ioctl(faults, UFFDIO_REGISTER, &missing) != 0 ||
      ::pipe(ends) != 0 || ::write(ends[1], page, 1) != 1)
    ::_exit(77);
  ::_exit(78);
}

TEST_F(UnifiedCgroupTest, WaitingForAProcessThatDoesNotFreezeCostsNoProcessor) {
  const auto cgroup = make({}, "stuck");
  const pid_t stuck = ::fork();
  if (stuck == 0) wait_in_the_kernel();
  children_.push_back(stuck);
  cgroup.add(stuck);
  ::usleep(100'000);
  if (::waitpid(stuck, nullptr, WNOHANG) != 0) {
    children_.clear();
    GTEST_SKIP() << "no userfaultfd here";
  }
  const std::clock_t before = std::clock();
  EXPECT_THROW(cgroup.freeze(std::chrono::milliseconds(1000)), Error);
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 10);
  EXPECT_FALSE(cgroup.frozen());
}

TEST_F(UnifiedCgroupTest, MissingControllersAreNamed) {
  if (layout_.has("memory")) GTEST_SKIP() << "this host has them";
  CgroupLimits limits;
  limits.memory = 1 << 24;
  try {
    make(limits);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("\"memory\""));
  }
  EXPECT_FALSE(ContainerCgroup::open(layout_, parent_ + "/c1").exists());
}

TEST_F(UnifiedCgroupTest, DeviceRulesComeAsBpf) {
  CgroupLimits limits;
  limits.devices = {{true, 'c', 1, 3, "rwm"}};  // deny-all goes in front by itself
  const auto cgroup = make(limits);
  const pid_t child = ::fork();
  if (child == 0) {
    cgroup.add(::getpid());
    ::_exit((can_open("/dev/null") ? 0 : 1) | (can_open("/dev/zero") ? 2 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// --- the BPF program of v2, in whatever v2 hierarchy there is ---

TEST(CgroupDevices, ProgramDecidesAsTheRulesSay) {
  const auto layout = CgroupLayout::detect();
  if (layout.unified().empty() || ::geteuid() != 0) GTEST_SKIP() << "needs root and a v2 hierarchy";
  const std::string path = layout.unified() + "/bryo-bpf-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Attached twice: the second replaces the first, which would have allowed everything.
  try {
    attach_device_rules(directory.get(), {{true, 'a', {}, {}, "rwm"}});
  } catch (const Error& error) {
    ::rmdir(path.c_str());
    GTEST_SKIP() << error.what();
  }
  attach_device_rules(directory.get(), {{false, 'a', {}, {}, "rwm"},
                                        {true, 'c', 1, {}, "r"},
                                        {true, 'c', 1, 3, "rwm"},
                                        {false, 'c', 1, 9, "r"},
                                        {true, 'b', {}, {}, "m"}});
  const pid_t child = ::fork();
  if (child == 0) {
    std::ofstream(path + "/cgroup.procs") << "0" << std::flush;
    const auto readable = [](const char* name) { return static_cast<bool>(UniqueFd(::open(name, O_RDONLY))); };
    ::_exit((can_open("/dev/null") ? 0 : 1) | (readable("/dev/zero") ? 0 : 2) | (can_open("/dev/zero") ? 4 : 0) |
            (readable("/dev/urandom") ? 8 : 0) | (readable("/dev/tty") && errno != ENXIO ? 16 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(::rmdir(path.c_str()), 0);
}

TEST(CgroupDevices, EveryShapeOfListPassesTheVerifier) {
  const auto layout = CgroupLayout::detect();
  if (layout.unified().empty() || ::geteuid() != 0) GTEST_SKIP() << "needs root and a v2 hierarchy";
  const std::string path = layout.unified() + "/bryo-bpf-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<CgroupDeviceRule> many{CgroupDeviceRule{}};
  for (std::uint32_t i = 0; i < 200; ++i) many.push_back({i % 3 != 0, i % 2 ? 'c' : 'b', i, i, i % 5 ? "rw" : "rwm"});
  const std::vector<std::vector<CgroupDeviceRule>> lists = {{{true, 'a', 1, 2, "r"}},
                                                            {{false, 'a', {}, {}, "rwm"}},
                                                            {{true, 'c', {}, {}, "m"}},
                                                            {{true, 'c', 1, 3, "rwm"}, {true, 'a', {}, {}, "rwm"}},
                                                            many};
  for (const auto& list : lists) EXPECT_NO_THROW(attach_device_rules(directory.get(), closed_device_rules(list)));
  EXPECT_THROW(compile_device_rules({{true, 'c', 1, 3, "rx"}}), Error);
  EXPECT_EQ(::rmdir(path.c_str()), 0);
}

}  // namespace
}  // namespace bryo::kernel

// Published escapes, attempted. Each test carries the id of what it tries; what must not change on the host is looked
// at afterwards (design/security.md 1A and 1B).
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <set>

#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

namespace fs = std::filesystem;

// A directory outside the root file system, with everything about it written down.
class AttackTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    fs::create_directories(outside());
    write_text(outside() + "/secret", "of the host\n");
    before_ = snapshot();
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(snapshot(), before_) << "something outside the root was touched";
  }

  std::string outside() const { return scratch_ / "outside"; }
  // Climbs as far as anything can, then comes down to the directory outside.
  std::string climb() const { return "/../../../../../../../.." + outside(); }

  void make_again() {
    fs::remove_all(root_);
    make_busybox_root(root_);
  }
  void replace(const std::string& name, const std::string& target) {
    fs::remove_all(root_ + "/" + name);
    fs::create_directories(fs::path(root_ + "/" + name).parent_path());
    fs::create_symlink(target, root_ + "/" + name);
  }

 private:
  std::string snapshot() const {
    std::string all;
    for (const auto& entry : fs::recursive_directory_iterator(outside())) {
      struct stat info = {};
      ::lstat(entry.path().c_str(), &info);
      all += fmt::format("{} {:o} {} {} {}\n", entry.path().string(), info.st_mode, info.st_uid, info.st_gid,
                         S_ISREG(info.st_mode) ? read_text(entry.path().string()) : "");
    }
    return all;
  }
  std::string before_;
};

// --- descriptors ---

TEST_F(AttackTest, CVE_2024_21626_OnlyThreeDescriptorsAndAllAreTheContainers) {
  // Descriptors of the host's, open in the launcher: directories, files, sockets.
  const UniqueFd directory_fd(::open(outside().c_str(), O_RDONLY | O_DIRECTORY));  // not even close-on-exec
  const UniqueFd cgroup_fd(::open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY));
  const Result result =
      run(shell_spec("for f in /proc/self/fd/*; do echo ${f##*/}; done; ls -l /proc/self/fd"), directory(root_));
  // ls and the glob hold one more while they read the directory.
  EXPECT_THAT(result.output, StartsWith("0\n1\n2\n"));
  EXPECT_THAT(result.output, Not(HasSubstr("outside")));
  EXPECT_THAT(result.output, Not(HasSubstr("cgroup")));
}

TEST_F(AttackTest, CVE_2024_21626_WorkingDirectoryThroughDescriptors) {
  const UniqueFd leak(::open(outside().c_str(), O_RDONLY | O_DIRECTORY));
  for (const char* base : {"/proc/self/fd/", "/proc/1/fd/", "/dev/fd/", "/proc/thread-self/fd/"}) {
    for (int n = 0; n < 24; ++n) {
      oci::RuntimeSpec spec = shell_spec("pwd; cat secret; cat ../../../etc/shadow");
      spec.process->cwd = base + std::to_string(n);
      EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("chdir to cwd")) << spec.process->cwd;
    }
  }
}

TEST_F(AttackTest, CVE_2024_21626_ExecWithWorkingDirectoryThroughDescriptors) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  const UniqueFd leak(::open(outside().c_str(), O_RDONLY | O_DIRECTORY));
  for (int n = 3; n < 24; ++n) {
    oci::Process process = *spec.process;
    process.cwd = fmt::format("/proc/self/fd/{}", n);
    process.args = {"cat", "secret"};
    EXPECT_THROW(exec(launched, spec, process), Error) << n;
  }
  oci::Process process = *spec.process;
  process.args = {"sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done"};
  EXPECT_THAT(exec(launched, spec, process).output, StartsWith("0\n1\n2\n"));
}

TEST_F(AttackTest, CVE_2015_3627_NullOnStdinIsTheContainersOwn) {
  const Result result = run(
      shell_spec("stat -L -c %d /proc/self/fd/0; stat -c %d /dev/null; chmod 0666 /proc/self/fd/0"), directory(root_));
  const std::size_t end = result.output.find('\n');
  EXPECT_EQ(result.output.substr(0, end), result.output.substr(end + 1, end)) << "same file system";
  struct stat info = {};
  ASSERT_EQ(::stat("/dev/null", &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0666U);
}

// --- the image's own links as mount points ---

TEST_F(AttackTest, CVE_2019_19921_LinkedProcAndSysAreRefused) {
  for (const char* name : {"proc", "sys"}) {
    for (const std::string& target : {std::string("/tmp"), outside(), climb(), std::string("tmp")}) {
      make_again();
      replace(name, target);
      EXPECT_THAT(failure_of(shell_spec("cat /proc/self/mountinfo"), directory(root_)),
                  HasSubstr("it must be an ordinary directory, not a link"))
          << name << " -> " << target;
    }
  }
}

TEST_F(AttackTest, CVE_2026_41579_LinkedDevIsRefused) {
  for (const std::string& target : {std::string("/tmp"), outside(), climb(), std::string("tmp")}) {
    make_again();
    replace("dev", target);
    EXPECT_THAT(failure_of(shell_spec("true"), directory(root_)), HasSubstr("find mount point /dev")) << target;
  }
}

TEST_F(AttackTest, CVE_2026_41579_LinksInsideDevAreCovered) {
  fs::create_directories(root_ + "/dev");
  for (const char* name : {"dev/pts", "dev/shm", "dev/mqueue", "dev/ptmx", "dev/null", "dev/fd", "dev/console"})
    replace(name, outside());
  oci::RuntimeSpec spec = shell_spec("stat -c '%F %t:%T' /dev/null; echo x > /dev/null");
  EXPECT_EQ(run(spec, directory(root_)).output, "character special file 1:3\n");
}

TEST_F(AttackTest, CVE_2015_1335_MountTargetsThatAreLinksStayInside) {
  const char* targets[] = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/secrets", "/mnt/volume"};
  write_text(scratch_ / "file", "mounted\n");
  for (const char* target : targets) {
    for (const std::string& link : {outside() + "/secret", climb() + "/secret", std::string("/../../outside/secret")}) {
      make_again();
      replace(std::string(target).substr(1), link);
      oci::RuntimeSpec spec = shell_spec(fmt::format("cat {}", target));
      spec.mounts.push_back({target, "bind", scratch_ / "file", {"rbind", "rprivate"}, {}, {}});
      // Followed as the container would follow it: inside.
      EXPECT_EQ(run(spec, directory(root_)).output, "mounted\n") << target << " -> " << link;
      EXPECT_EQ(read_text(outside() + "/secret"), "of the host\n");
    }
  }
}

TEST_F(AttackTest, CVE_2021_30465_DirectoriesOnTheWayThatAreLinks) {
  fs::create_directories(scratch_ / "volume");
  fs::create_directory_symlink(climb(), fs::path(scratch_ / "volume") / "link");
  // The first mount brings the link, the second goes through it.
  oci::RuntimeSpec spec = shell_spec("cat /vol/link/made/f; ls " + outside());
  write_text(scratch_ / "data", "x");
  fs::create_directories(scratch_ / "second");
  write_text(scratch_ / "second/f", "inside\n");
  spec.mounts.push_back({"/vol", "bind", scratch_ / "volume", {"rbind", "rprivate"}, {}, {}});
  spec.mounts.push_back({"/vol/link/made", "bind", scratch_ / "second", {"rbind", "rprivate"}, {}, {}});
  const Result result = run(spec, directory(root_));
  EXPECT_EQ(result.output, "inside\nmade\n") << "the link led to a directory of that name inside the root";
  EXPECT_FALSE(fs::exists(outside() + "/made"));
  EXPECT_TRUE(fs::exists(root_ + outside() + "/made"));
}

TEST_F(AttackTest, CVE_2024_45310_MountPointsAreMadeInsideOnly) {
  for (const std::string& link : {outside(), climb(), std::string("../../../../../../..") + outside()}) {
    make_again();
    replace("a", link);
    oci::RuntimeSpec spec = shell_spec("true");
    write_text(scratch_ / "file", "x");
    spec.mounts.push_back({"/a/b/c/file", "bind", scratch_ / "file", {"rbind"}, {}, {}});
    spec.mounts.push_back({"/a/d/e", "tmpfs", "tmpfs", {}, {}, {}});
    EXPECT_EQ(run(spec, directory(root_)).status, 0);
    EXPECT_FALSE(fs::exists(outside() + "/b"));
    EXPECT_FALSE(fs::exists(outside() + "/d"));
  }
}

TEST_F(AttackTest, LinkLoopsAndLongChainsEnd) {
  replace("loop1", "/loop2");
  replace("loop2", "/loop1");
  for (int i = 0; i < 60; ++i) {
    replace(fmt::format("chain{}", i), fmt::format("/chain{}", i + 1));
  }
  fs::create_directories(scratch_ / "data");
  for (const char* target : {"/loop1/a", "/chain0/a"}) {
    oci::RuntimeSpec spec = shell_spec("true");
    spec.mounts.push_back({target, "bind", scratch_ / "data", {"rbind"}, {}, {}});
    EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("Too many levels of symbolic links")) << target;
  }
}

TEST_F(AttackTest, CVE_2019_16884_MountsCannotReachProcThroughLinks) {
  fs::create_directories(scratch_ / "data");
  for (const char* link : {"/proc", "/proc/self/attr", "proc/sys"}) {
    make_again();
    replace("innocent", link);
    oci::RuntimeSpec spec = shell_spec("true");
    spec.mounts.push_back({"/innocent", "bind", scratch_ / "data", {"rbind"}, {}, {}});
    EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("inside /proc")) << link;
    spec.mounts.back() = {"/innocent", "tmpfs", "tmpfs", {}, {}, {}};
    EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("mount tmpfs on /innocent")) << link;
  }
}

TEST_F(AttackTest, CVE_2026_55686_WorkingDirectoryThroughALinkIsMadeInside) {
  for (const std::string& link : {outside(), climb()}) {
    make_again();
    replace("a", link);
    oci::RuntimeSpec spec = shell_spec("pwd");
    spec.process->cwd = "/a/made/by/workdir";
    spec.process->user.uid = spec.process->user.gid = 1000;
    EXPECT_EQ(run(spec, directory(root_)).output, outside() + "/made/by/workdir\n");
    EXPECT_FALSE(fs::exists(outside() + "/made"));
  }
}

TEST_F(AttackTest, CVE_2017_1002101_SubpathOfAVolumeStaysInTheVolume) {
  fs::create_directories(scratch_ / "volume/sub");
  fs::create_directory_symlink(climb(), fs::path(scratch_ / "volume") / "link");
  oci::RuntimeSpec spec = shell_spec("ls /m");
  spec.mounts.push_back({"/m", "bind", "/sub", {"rbind"}, {}, {}});
  LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  auto& source = std::get<BindSource>(plan.sources.back());
  source.root = scratch_ / "volume";
  source.path = "link";
  Pipe pipe;
  Container container = Container::begin(plan, {{-1, pipe.writer(), pipe.writer()}, {}, {}, {}, -1});
  EXPECT_THROW(container.wait_created(), Error) << "there is no such directory inside the volume";
}

// --- masks, read-only paths, devices ---

TEST_F(AttackTest, CVE_2025_31133_MasksComeFromTheHostWhateverTheImageHas) {
  fs::create_directories(root_ + "/dev");
  for (const std::string& target : {std::string("/proc/sys/kernel/core_pattern"), outside() + "/secret"}) {
    replace("dev/null", target);
    // Without a /dev of ours: the image's own stays in place.
    oci::RuntimeSpec spec = shell_spec(
        "cat /proc/keys /proc/timer_list | wc -c; ls /proc/acpi /sys/firmware; echo x > /proc/sysrq-trigger; "
        "echo x > /proc/sys/kernel/core_pattern");
    const Result result = run(spec, directory(root_));
    EXPECT_THAT(result.output, StartsWith("0\n"));
    EXPECT_THAT(result.output, HasSubstr("can't create /proc/sysrq-trigger"));
    EXPECT_THAT(result.output, HasSubstr("can't create /proc/sys/kernel/core_pattern: Read-only file system"));
  }
}

TEST_F(AttackTest, EveryMaskAndReadOnlyPathIsInPlace) {
  std::string script = "cat /proc/self/mountinfo";
  for (const bool mapped : {false, true}) {
    oci::RuntimeSpec spec = shell_spec(script);
    RootfsSource source = directory(root_);
    if (mapped) {
      map_ids(spec);
      source.kind = RootfsSource::Kind::idmapped_directory;
    }
    const std::string mounts = run(spec, source).output;
    std::vector<std::string> paths = spec.linux_->masked_paths;
    paths.insert(paths.end(), spec.linux_->readonly_paths.begin(), spec.linux_->readonly_paths.end());
    std::erase_if(paths, [](const std::string& path) { return !fs::exists(path); });
    for (const std::string& path : paths) EXPECT_THAT(mounts, HasSubstr(" " + path + " ro,")) << "mapped: " << mapped;
  }
}

// The mode and the owner asked for are those it has: should it ever come through, the host is not harmed by this test.
TEST_F(AttackTest, MasksDoNotGiveTheHostsNullDeviceAway) {
  const Result result =
      run(shell_spec("chmod 0666 /proc/keys; chown 0 /proc/timer_list; stat -c %a /proc/keys"), directory(root_));
  EXPECT_THAT(result.output, HasSubstr("Read-only file system"));
  struct stat info = {};
  ASSERT_EQ(::stat("/dev/null", &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0666U);
  EXPECT_EQ(info.st_uid, 0U);
}

TEST_F(AttackTest, CVE_2025_52565_ConsoleIsThePtyItself) {
  oci::RuntimeSpec spec = shell_spec("stat -c '%t' /dev/console; readlink /proc/self/fd/0");
  spec.process->terminal = true;
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  Container container = Container::begin(plan, {});
  container.wait_created();
  const UniqueFd master = container.take_pty_master();
  container.start();
  std::string text;
  char block[256];
  ssize_t size = 0;
  while ((size = ::read(master.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
  wait_for(container.pid());
  EXPECT_EQ(text, "88\r\n/dev/pts/0\r\n") << "major 136: a Unix98 slave";
}

TEST_F(AttackTest, DevicesOfTheHostCannotBeMadeInAMappedContainer) {
  oci::RuntimeSpec spec =
      shell_spec("mknod /tmp/disk b 8 0; mknod /dev/mem c 1 1; echo made > /dev/null && echo null works");
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  const Result result = run(spec, source);
  EXPECT_THAT(result.output, HasSubstr("/tmp/disk: Operation not permitted"));
  EXPECT_THAT(result.output, HasSubstr("/dev/mem: Operation not permitted"));
  EXPECT_THAT(result.output, HasSubstr("null works"));
}

TEST_F(AttackTest, CVE_2022_0492_CgroupV1CannotBeMountedInTheDefaultProfile) {
  oci::RuntimeSpec spec =
      shell_spec("mount -t cgroup -o memory none /tmp; mount -t tmpfs none /tmp; ls /tmp/release_agent");
  spec.linux_->seccomp = default_seccomp_profile(capability_bits(default_capabilities()), facts().kernel);
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, Not(HasSubstr("\n/tmp/release_agent")));
  EXPECT_THAT(result.output, AnyOf(HasSubstr("permission denied"), HasSubstr("Operation not permitted")));
}

// --- credentials ---

TEST_F(AttackTest, CVE_2022_24769_InheritableAndAmbientAreEmpty) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  for (const std::uint32_t uid : {0U, 1000U}) {
    oci::Process process = *spec.process;
    process.user.uid = process.user.gid = uid;
    process.args = {"grep", "-E", "CapInh|CapAmb", "/proc/self/status"};
    EXPECT_EQ(exec(launched, spec, process).output, "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n");
  }
}

TEST_F(AttackTest, CVE_2018_10856_AUserKeepsNoCapabilities) {
  oci::RuntimeSpec spec = shell_spec("grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status");
  spec.process->user.uid = spec.process->user.gid = 1000;
  EXPECT_EQ(run(spec, directory(root_)).output,
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

TEST_F(AttackTest, CVE_2022_36109_PrimaryGroupIsAmongTheGroups) {
  // A file that denies the group what others may: leaving the group must not be possible.
  write_text(root_ + "/denied", "secret\n");
  ASSERT_EQ(::chown((root_ + "/denied").c_str(), 0, 1234), 0);
  ASSERT_EQ(::chmod((root_ + "/denied").c_str(), 0604), 0);
  oci::RuntimeSpec spec = shell_spec("cat /denied; grep Groups /proc/self/status");
  spec.process->user.uid = 1000;
  spec.process->user.gid = 1234;
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, HasSubstr("Permission denied"));
  EXPECT_THAT(result.output, HasSubstr("Groups:\t1234 "));
  // A set-gid program of another group keeps it as a supplementary one.
  const oci::RuntimeSpec running = shell_spec("sleep 100");
  Launched launched(running, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  EXPECT_THAT(exec(launched, running, process).output, HasSubstr("Permission denied"));
}

// --- what can be seen of us ---

TEST_F(AttackTest, CVE_2016_9962_ExecIsNotVisibleWithAnythingOfTheHosts) {
  // Root in the container, with the capability to trace, reads the descriptors of every process as fast as it can.
  oci::RuntimeSpec spec = shell_spec(
      "while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || readlink $p/exe $p/cwd $p/fd/* 2>/dev/null; for f in "
      "$p/fd/*; do "
      "readlink $f; done; done; done 2>/dev/null");
  spec.process->capabilities->bounding.push_back("CAP_SYS_PTRACE");
  spec.process->capabilities->effective.push_back("CAP_SYS_PTRACE");
  spec.process->capabilities->permitted.push_back("CAP_SYS_PTRACE");
  const UniqueFd leak(::open(outside().c_str(), O_RDONLY | O_DIRECTORY));
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"true"};
  for (int i = 0; i < 100; ++i) exec(launched, spec, process);
  ::kill(launched.container().pid(), SIGKILL);
  const Result result = launched.finish();
  std::set<std::string> seen;
  for (std::size_t at = 0; at < result.output.size();) {
    const std::size_t end = std::min(result.output.find('\n', at), result.output.size());
    const std::string line = result.output.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("pipe:") || line.starts_with("socket:") || line.starts_with("/proc") || line == "/dev/null")
      continue;
    seen.insert(line);
  }
  EXPECT_EQ(seen, std::set<std::string>{});
}

TEST_F(AttackTest, CVE_2019_5736_LauncherCannotBeTracedOrReadBeforeItsProgramRuns) {
  oci::RuntimeSpec spec = shell_spec("true");
  Launched launched(spec, directory(root_));
  // At the gate, the first process is still ours: not dumpable, so its /proc entries are root's and closed to the map.
  struct stat info = {};
  ASSERT_EQ(::stat(fmt::format("/proc/{}/exe", launched.container().pid()).c_str(), &info), 0);
  EXPECT_THAT(read_text(fmt::format("/proc/{}/status", launched.container().pid())), HasSubstr("Pid:"));
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched mapped(spec, source);
  ASSERT_EQ(::stat(fmt::format("/proc/{}/mem", mapped.container().pid()).c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U) << "owned by the host's root although its user is " << kMapBase;
}

TEST_F(AttackTest, CVE_2016_10124_TerminalIsNeverTheCallers) {
  oci::RuntimeSpec spec = shell_spec("tty; ls -l /proc/self/fd/0");
  spec.process->terminal = true;
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  // Whatever standard descriptors the caller has, the program's are the new terminal.
  Pipe pipe;
  Container container = Container::begin(plan, {{-1, pipe.writer(), pipe.writer()}, {}, {}, {}, -1});
  container.wait_created();
  const UniqueFd master = container.take_pty_master();
  ASSERT_TRUE(master);
  container.start();
  char block[256];
  std::string text;
  ssize_t size = 0;
  while ((size = ::read(master.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
  EXPECT_THAT(text, StartsWith("/dev/pts/0"));
  EXPECT_EQ(pipe.drain(), "");
  wait_for(container.pid());
}

}  // namespace
}  // namespace bryo::runtime::testing

// Real containers, as root.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "kernel/cgroups.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/netns.hpp"
#include "kernel/netns_maker.hpp"
#include "kernel/rlimits.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(LaunchTest, RunsTheProgramAndGivesItsExitStatus) {
  const Result result = run(shell_spec("echo hello; exit 7"), directory(root_));
  EXPECT_EQ(result.output, "hello\n");
  EXPECT_EQ(result.status, 7);
}

TEST_F(LaunchTest, IsPidOneInNamespacesOfItsOwn) {
  Launched launched(shell_spec("echo $$; hostname; ls /proc | grep -c '^[0-9]'"), directory(root_));
  const UniqueFd own = kernel::open_namespace(::getpid(), "net");
  const UniqueFd theirs = launched.container().network_namespace();
  ASSERT_TRUE(theirs);
  EXPECT_FALSE(kernel::same_namespace(own.get(), theirs.get()));
  launched.start();
  EXPECT_THAT(launched.finish().output, StartsWith("1\nbryo\n"));
}

TEST_F(LaunchTest, HostTreeIsGone) {
  const Result result = run(shell_spec("cat /proc/self/mountinfo; ls -a /; ls /.."), directory(root_));
  // Nothing but what the spec asked for: the root, /proc with its masks, /dev, /sys.
  EXPECT_THAT(result.output, Not(HasSubstr(" /tmp ")));
  EXPECT_THAT(result.output, Not(HasSubstr(" /home ")));
}

TEST_F(LaunchTest, MappedRootIsSubordinateOnTheHost) {
  oci::RuntimeSpec spec = shell_spec("id -u; cat /proc/self/uid_map; stat -c %u /bin; touch /made; stat -c %u /made");
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched launched(spec, source);
  struct stat info = {};
  ASSERT_EQ(::stat(fmt::format("/proc/{}", launched.container().pid()).c_str(), &info), 0);
  launched.start();
  const Result result = launched.finish();
  EXPECT_THAT(result.output, StartsWith("0\n"));
  EXPECT_THAT(result.output, HasSubstr("300000      65536"));
  // Root inside, for what the image has and for what the container makes; root's own number on the disk.
  EXPECT_THAT(result.output, HasSubstr("\n0\n0\n"));
  ASSERT_EQ(::stat((root_ + "/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

TEST_F(LaunchTest, HostSeesSubordinateUid) {
  oci::RuntimeSpec spec = shell_spec("cat /dev/null; sleep 100");
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched launched(spec, source);
  launched.start();
  EXPECT_THAT(read_text(fmt::format("/proc/{}/status", launched.container().pid())),
              HasSubstr("Uid:\t300000\t300000\t300000\t300000"));
}

class OverlayTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    namespace fs = std::filesystem;
    fs::create_directories(scratch_ / "layers/two");
    fs::rename(root_, scratch_ / "layers/one");
    write_text(scratch_ / "layers/two/upper-layer", "from two\n");
    fs::create_directories(scratch_ / "upper");
    fs::create_directories(scratch_ / "work");
    source_.kind = RootfsSource::Kind::overlay;
    source_.lower = {"two", "one"};
    source_.lower_parent = scratch_ / "layers";
    source_.upper = scratch_ / "upper";
    source_.work = scratch_ / "work";
  }
  RootfsSource source_;
};

TEST_F(OverlayTest, WritesGoToTheUpperDirectory) {
  const Result result = run(shell_spec("cat /upper-layer; echo new > /file; ls /bin/sh"), source_);
  EXPECT_EQ(result.output, "from two\n/bin/sh\n");
  EXPECT_EQ(read_text(scratch_ / "upper/file"), "new\n");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "layers/two/file"));
}

TEST_F(OverlayTest, Remap_LowerLayersStayUntouchedAndWritesAreSubordinate) {
  oci::RuntimeSpec spec = shell_spec(
      "stat -c %u /bin/busybox /etc; echo x > /etc/new; echo y >> /etc/passwd; "
      "mkdir /dir; stat -c %u:%g /etc/new /etc/passwd /dir");
  map_ids(spec);
  ASSERT_EQ(::chown((scratch_ / "upper").c_str(), kMapBase, kMapBase), 0);
  ASSERT_EQ(::chown((scratch_ / "work").c_str(), kMapBase, kMapBase), 0);
  source_.lower_idmap = true;
  const Result result = run(spec, source_);
  EXPECT_EQ(result.output, "0\n0\n0:0\n0:0\n0:0\n");
  struct stat info = {};
  ASSERT_EQ(::stat((scratch_ / "upper/etc/passwd").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kMapBase);
  ASSERT_EQ(::stat((scratch_ / "layers/one/etc/passwd").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
  EXPECT_THAT(read_text(scratch_ / "layers/one/etc/passwd"), Not(HasSubstr("y")));
}

TEST_F(LaunchTest, ReadOnlyRootHasWritableMounts) {
  oci::RuntimeSpec spec = shell_spec("touch /x 2>&1; touch /run/x && echo ok; mount | grep ' / '");
  spec.root->readonly = true;
  spec.mounts.push_back({"/run", "tmpfs", "tmpfs", {"nosuid", "size=1m", "mode=700"}, {}, {}});
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, HasSubstr("Read-only file system"));
  EXPECT_THAT(result.output, HasSubstr("ok\n"));
}

TEST_F(LaunchTest, BindMountsOfDirectoriesAndFilesAreMadeAndReadOnlyWhenAsked) {
  std::filesystem::create_directories(scratch_ / "data");
  write_text(scratch_ / "data/f", "content\n");
  write_text(scratch_ / "hosts", "1.2.3.4 host\n");
  oci::RuntimeSpec spec = shell_spec("cat /a/b/f /etc/hosts; echo w > /a/b/g; echo w > /ro/g");
  spec.mounts.push_back({"/a/b", "bind", scratch_ / "data", {"rbind", "rprivate"}, {}, {}});
  spec.mounts.push_back({"/ro", "bind", scratch_ / "data", {"rbind", "ro", "rprivate"}, {}, {}});
  spec.mounts.push_back({"/etc/hosts", "bind", scratch_ / "hosts", {"rbind", "rprivate"}, {}, {}});
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, StartsWith("content\n1.2.3.4 host\n"));
  EXPECT_THAT(result.output, HasSubstr("Read-only file system"));
  EXPECT_EQ(read_text(scratch_ / "data/g"), "w\n");
}

TEST_F(LaunchTest, VolumeIsTranslatedByTheContainersMap) {
  std::filesystem::create_directories(scratch_ / "volume");
  write_text(scratch_ / "volume/f", "x");
  ASSERT_EQ(::chown((scratch_ / "volume/f").c_str(), 1000, 1000), 0);
  oci::RuntimeSpec spec = shell_spec("stat -c %u:%g /v /v/f; echo new > /v/n");
  map_ids(spec);
  spec.mounts.push_back({"/v", "bind", scratch_ / "volume", {"rbind", "idmap"}, {}, {}});
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  const Result result = run(spec, source);
  EXPECT_EQ(result.output, "0:0\n1000:1000\n");
  struct stat info = {};
  ASSERT_EQ(::stat((scratch_ / "volume/n").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U) << "volumes keep the ids of the container on disk";
}

// Only the calling user's own id is translated to the container's user; the rest shows as nobody.
TEST_F(LaunchTest, BindWithMappingsOfItsOwn) {
  std::filesystem::create_directories(scratch_ / "home");
  write_text(scratch_ / "home/mine", "x");
  write_text(scratch_ / "home/roots", "x");
  ASSERT_EQ(::chown((scratch_ / "home/mine").c_str(), 1234, 1234), 0);
  oci::RuntimeSpec spec = shell_spec("stat -c %u /h/mine /h/roots");
  map_ids(spec);
  // On-disk 1234 appears as the host's id of container root.
  spec.mounts.push_back({"/h", "bind", scratch_ / "home", {"rbind"}, {{1234, kMapBase, 1}}, {{1234, kMapBase, 1}}});
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  EXPECT_EQ(run(spec, source).output, "0\n65534\n");
}

TEST_F(LaunchTest, CapabilitiesAreExactlyThoseAsked) {
  const Result result = run(shell_spec("grep Cap /proc/self/status"), directory(root_));
  EXPECT_EQ(result.output,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
}

TEST_F(LaunchTest, WhatWeLackIsLeftOutWithAWarningWithoutAMapOnly) {
  HostFacts poor = facts();
  poor.capabilities &= ~(std::uint64_t{1} << 24);  // CAP_SYS_RESOURCE
  oci::RuntimeSpec spec = shell_spec("true");
  spec.process->capabilities =
      oci::LinuxCapabilities{{"CAP_SYS_RESOURCE"}, {"CAP_SYS_RESOURCE"}, {}, {"CAP_SYS_RESOURCE"}, {}};
  const LaunchPlan plain = make_plan(spec, poor, directory("/r"));
  EXPECT_EQ(plain.process.capabilities.permitted, 0U);
  EXPECT_THAT(plain.warnings, Contains(HasSubstr("CAP_SYS_RESOURCE is left out")));
  map_ids(spec);
  const LaunchPlan mapped = make_plan(spec, poor, directory("/r"));
  EXPECT_EQ(mapped.process.capabilities.permitted, std::uint64_t{1} << 24);
}

TEST_F(LaunchTest, MappedContainerMayHaveEveryCapabilityInside) {
  oci::RuntimeSpec spec = shell_spec("grep CapEff /proc/self/status; mount -t tmpfs none /tmp && echo mounted");
  map_ids(spec);
  std::vector<std::string> all;
  for (unsigned i = 0; i <= facts().last_capability; ++i) all.push_back(kernel::capability_name(i));
  spec.process->capabilities = oci::LinuxCapabilities{all, all, {}, all, {}};
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  EXPECT_EQ(run(spec, source).output, "CapEff:\t000001ffffffffff\nmounted\n");
}

TEST_F(LaunchTest, UserGroupsAndUmaskAreThoseOfTheSpec) {
  oci::RuntimeSpec spec =
      shell_spec("id; umask; grep -E 'Groups|CapEff|CapPrm' /proc/self/status; touch /tmp/f; stat -c %a /tmp/f");
  spec.process->user.uid = 1000;
  spec.process->user.gid = 1001;
  spec.process->user.additional_gids = {2000, 1001, 3000};
  spec.process->user.umask = 0077;
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, StartsWith("uid=1000(user) gid=1001 groups=1001,2000,3000\n0077\n"));
  EXPECT_THAT(result.output, HasSubstr("Groups:\t1001 2000 3000"));
  EXPECT_THAT(result.output, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(result.output, HasSubstr("\n600\n"));
}

// The launcher's own groups; by default none of them gets into a container.
TEST_F(LaunchTest, GroupsOfTheLauncherStayOnlyWithTheAnnotation) {
  const std::vector<gid_t> before = [] {
    std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
    groups.resize(static_cast<std::size_t>(::getgroups(static_cast<int>(groups.size()), groups.data())));
    return groups;
  }();
  const gid_t own[] = {77123};
  ASSERT_EQ(::setgroups(1, own), 0);
  oci::RuntimeSpec spec = shell_spec("grep Groups /proc/self/status; sleep 100");
  spec.process->user = {.uid = 1000, .gid = 1000};
  oci::RuntimeSpec keeping = spec;
  keeping.annotations[std::string(kKeepGroupsAnnotation)] = "1";
  for (const bool mapped : {false, true}) {
    RootfsSource source = directory(root_);
    if (mapped) {
      map_ids(spec);
      map_ids(keeping);
      source.kind = RootfsSource::Kind::idmapped_directory;
    }
    const auto first_line = [&](const oci::RuntimeSpec& of) {
      oci::RuntimeSpec once = of;
      once.process->args.back() = "grep Groups /proc/self/status";
      return run(once, source).output;
    };
    EXPECT_EQ(first_line(spec), "Groups:\t1000 \n");
    // Outside the map a group is shown as nobody's.
    EXPECT_EQ(first_line(keeping), mapped ? "Groups:\t65534 \n" : "Groups:\t77123 \n");
    Launched launched(keeping, source);
    launched.start();
    oci::Process process = *keeping.process;
    process.args = {"grep", "Groups", "/proc/self/status"};
    EXPECT_EQ(exec(launched, keeping, process).output, mapped ? "Groups:\t65534 \n" : "Groups:\t77123 \n");
  }
  ASSERT_EQ(::setgroups(before.size(), before.data()), 0);
}

TEST_F(LaunchTest, SeccompFiltersAndNoNewPrivilegesAreOn) {
  oci::RuntimeSpec spec = shell_spec("grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; umount /proc 2>&1");
  spec.linux_->seccomp = default_seccomp_profile(capability_bits(default_capabilities()), facts().kernel);
  EXPECT_EQ(run(spec, directory(root_)).output,
            "NoNewPrivs:\t1\nSeccomp:\t2\numount: can't unmount /proc: Operation not permitted\n");
  spec.process->no_new_privileges = false;
  spec.process->user.uid = 1000;
  EXPECT_THAT(run(spec, directory(root_)).output, StartsWith("NoNewPrivs:\t0\nSeccomp:\t2\n"));
}

TEST_F(LaunchTest, LimitsHoldAndAreClampedWithAWarningWhereWeMayNot) {
  oci::RuntimeSpec spec = shell_spec("ulimit -n; ulimit -Hn; ulimit -c");
  spec.process->rlimits = {{"RLIMIT_NOFILE", 64, 32}, {"RLIMIT_CORE", 0, 0}};
  EXPECT_EQ(run(spec, directory(root_)).output, "32\n64\n0\n");
  // Above what fs.nr_open can be, which holds whatever our capabilities.
  spec.process->rlimits = {{"RLIMIT_NOFILE", UINT64_MAX, UINT64_MAX}};
  const std::uint64_t most = kernel::attainable_limit(RLIMIT_NOFILE, UINT64_MAX);
  const auto clamped = run(spec, directory(root_));
  EXPECT_THAT(clamped.output, StartsWith(fmt::format("{0}\n{0}\n", most)));
  EXPECT_THAT(clamped.warnings, Contains(HasSubstr("RLIMIT_NOFILE")));
}

TEST_F(LaunchTest, SysctlsAreSetInTheContainersNamespacesOnly) {
  const std::string before = read_text("/proc/sys/net/ipv4/ip_forward") + read_text("/proc/sys/kernel/msgmax");
  oci::RuntimeSpec spec = shell_spec("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/msgmax");
  spec.linux_->sysctl = {{"net.ipv4.ping_group_range", "0 77"}, {"kernel.msgmax", "9000"}};
  EXPECT_EQ(run(spec, directory(root_)).output, "0\t77\n9000\n");
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  EXPECT_EQ(run(spec, source).output, "0\t77\n9000\n");
  EXPECT_EQ(read_text("/proc/sys/net/ipv4/ip_forward") + read_text("/proc/sys/kernel/msgmax"), before);
}

TEST_F(LaunchTest, LoopbackIsUp) {
  EXPECT_THAT(run(shell_spec("ip addr show lo"), directory(root_)).output, HasSubstr("LOOPBACK,UP"));
}

TEST_F(LaunchTest, MissingPrograms) {
  int code = 0;
  oci::RuntimeSpec spec = shell_spec("");
  spec.process->args = {"nope"};
  EXPECT_EQ(failure_of(spec, directory(root_), &code), "exec: \"nope\": executable file not found in $PATH");
  EXPECT_EQ(code, 127);
  spec.process->args = {"/nope"};
  EXPECT_EQ(failure_of(spec, directory(root_), &code), "exec: \"/nope\": stat /nope: no such file or directory");
  EXPECT_EQ(code, 127);
  spec.process->args = {"/etc/passwd"};
  EXPECT_EQ(failure_of(spec, directory(root_), &code), "exec: \"/etc/passwd\": permission denied");
  EXPECT_EQ(code, 126);
  spec.process->args = {"/etc"};
  EXPECT_EQ(failure_of(spec, directory(root_), &code), "exec: \"/etc\": is a directory");
  EXPECT_EQ(code, 126);
  write_text(root_ + "/bin/text", "no program\n");
  ::chmod((root_ + "/bin/text").c_str(), 0755);
  spec.process->args = {"text"};
  EXPECT_EQ(failure_of(spec, directory(root_), &code), "exec /bin/text: exec format error");
  EXPECT_EQ(code, 126);
}

TEST_F(LaunchTest, ProgramThatOnlyRootMayRunIsRefusedForAUser) {
  std::filesystem::copy_file(root_ + "/bin/busybox", root_ + "/bin/private");
  ::chmod((root_ + "/bin/private").c_str(), 0700);
  oci::RuntimeSpec spec = shell_spec("");
  spec.process->args = {"/bin/private"};
  spec.process->user.uid = spec.process->user.gid = 1000;
  int code = 0;
  EXPECT_EQ(failure_of(spec, directory(root_), &code), "exec: \"/bin/private\": permission denied");
  EXPECT_EQ(code, 126);
}

TEST_F(LaunchTest, WorkingDirectoryIsMade) {
  oci::RuntimeSpec spec = shell_spec("pwd");
  spec.process->cwd = "/srv/app/data";
  EXPECT_EQ(run(spec, directory(root_)).output, "/srv/app/data\n");
  EXPECT_TRUE(std::filesystem::is_directory(root_ + "/srv/app/data"));
}

TEST_F(LaunchTest, TerminalIsTheContainersOwn) {
  oci::RuntimeSpec spec = shell_spec("tty; stty size; test -t 0 && test -c /dev/console && echo yes; ls /dev/pts");
  spec.process->terminal = true;
  spec.process->console_size = oci::Box{33, 77};
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  Container container = Container::begin(plan, {});
  container.wait_created();
  const UniqueFd master = container.take_pty_master();
  ASSERT_TRUE(master);
  container.start();
  std::string text;
  char block[1024];
  ssize_t size = 0;
  while ((size = ::read(master.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
  EXPECT_EQ(wait_for(container.pid()), 0);
  EXPECT_THAT(text, StartsWith("/dev/pts/0\r\n33 77\r\nyes\r\n"));
}

TEST_F(LaunchTest, ExecJoinsTheContainer) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"sh", "-c",
                  "hostname; readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; grep -E 'CapEff|NSpid' "
                  "/proc/self/status; exit 3"};
  const Result result = exec(launched, spec, process);
  EXPECT_EQ(result.status, 3);
  EXPECT_THAT(result.output, StartsWith("bryo\n"));
  EXPECT_THAT(result.output, HasSubstr("CapEff:\t00000000a80425fb"));
}

TEST_F(LaunchTest, ExecUnderAMap) {
  oci::RuntimeSpec spec = shell_spec("sleep 100");
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched launched(spec, source);
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"id"};
  process.user.uid = process.user.gid = 1000;
  EXPECT_EQ(exec(launched, spec, process).output, "uid=1000(user) gid=1000 groups=1000\n");
  // Privileged: everything inside the map, nothing outside.
  std::vector<std::string> all;
  for (unsigned i = 0; i <= facts().last_capability; ++i) all.push_back(kernel::capability_name(i));
  process.user = {};
  process.capabilities = oci::LinuxCapabilities{all, all, {}, all, {}};
  process.args = {"grep", "CapEff", "/proc/self/status"};
  EXPECT_EQ(exec(launched, spec, process).output, "CapEff:\t000001ffffffffff\n");
}

TEST_F(LaunchTest, ExecOfWhatIsNotThereAndInAStoppedContainer) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"nope"};
  try {
    exec(launched, spec, process);
    FAIL() << "must not succeed";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "exec: \"nope\": executable file not found in $PATH");
    EXPECT_EQ(error.exit_code(), 127);
  }
  ::kill(launched.container().pid(), SIGKILL);
  launched.finish();
  process.args = {"true"};
  EXPECT_THROW(exec(launched, spec, process), Error);
}

TEST_F(LaunchTest, ExecWithATerminal) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.terminal = true;
  process.args = {"sh", "-c", "tty; test -t 1 && echo yes"};
  ExecProcess started = ExecProcess::start(make_exec_plan(process, spec, facts()), launched.container().pidfd(), {});
  const UniqueFd master = started.take_pty_master();
  ASSERT_TRUE(master);
  std::string text;
  char block[1024];
  ssize_t size = 0;
  while ((size = ::read(master.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
  EXPECT_EQ(wait_for(started.pid()), 0);
  EXPECT_EQ(text, "/dev/pts/0\r\nyes\r\n");
}

TEST_F(LaunchTest, JoinsNamespacesOfAnotherContainer) {
  const oci::RuntimeSpec first_spec = shell_spec("sleep 100");
  Launched first(first_spec, directory(root_));
  first.start();
  const std::string base = fmt::format("/proc/{}/ns/", first.container().pid());
  oci::RuntimeSpec spec = shell_spec("readlink /proc/self/ns/net; ps");
  for (auto& entry : spec.linux_->namespaces) {
    if (entry.type == "network") entry.path = base + "net";
    if (entry.type == "ipc") entry.path = base + "ipc";
    if (entry.type == "pid") entry.path = base + "pid";
  }
  char net[64] = {};
  ASSERT_GT(::readlink((base + "net").c_str(), net, sizeof net - 1), 0);
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, StartsWith(std::string(net) + "\n"));
  EXPECT_THAT(result.output, HasSubstr("sleep 100"));
}

TEST_F(LaunchTest, JoinsTheUserNamespaceOfAnotherContainer) {
  oci::RuntimeSpec first_spec = shell_spec("sleep 100");
  map_ids(first_spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched first(first_spec, source);
  first.start();
  const std::string base = fmt::format("/proc/{}/ns/", first.container().pid());
  oci::RuntimeSpec spec = shell_spec("readlink /proc/self/ns/user; echo $$; touch /f && mount | grep -c sysfs");
  map_ids(spec);
  for (auto& entry : spec.linux_->namespaces)
    if (entry.type == "network" || entry.type == "user") entry.path = base + (entry.type == "user" ? "user" : "net");
  char user[64] = {};
  ASSERT_GT(::readlink((base + "user").c_str(), user, sizeof user - 1), 0);
  const Result result = run(spec, source);
  EXPECT_EQ(result.output, std::string(user) + "\n1\n1\n");
}

TEST_F(LaunchTest, HostNamespacesWithoutAMap) {
  oci::RuntimeSpec spec = shell_spec("for n in net pid ipc uts; do readlink /proc/self/ns/$n; done");
  std::erase_if(spec.linux_->namespaces, [](const auto& entry) { return entry.type != "mount"; });
  spec.hostname.clear();
  std::string expected;
  for (const char* name : {"net", "pid", "ipc", "uts"}) {
    char text[64] = {};
    ASSERT_GT(::readlink(fmt::format("/proc/self/ns/{}", name).c_str(), text, sizeof text - 1), 0);
    expected += std::string(text) + "\n";
  }
  EXPECT_EQ(run(spec, directory(root_)).output, expected);
}

TEST_F(LaunchTest, HostNamespacesUnderAMap) {
  oci::RuntimeSpec spec = shell_spec(
      "mount | grep -E ' /(sys|proc) '; cat /sys/kernel/mm/transparent_hugepage/enabled >/dev/null && echo read; echo "
      "x > /sys/power/state");
  map_ids(spec);
  std::erase_if(spec.linux_->namespaces,
                [](const auto& entry) { return entry.type != "mount" && entry.type != "user" && entry.type != "uts"; });
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  const Result result = run(spec, source);
  EXPECT_THAT(result.output, HasSubstr("sysfs on /sys type sysfs (ro,"));
  EXPECT_THAT(result.output, HasSubstr("proc on /proc type proc"));
  EXPECT_THAT(result.output, AnyOf(HasSubstr("Read-only file system"), HasSubstr("can't create")));
}

TEST_F(LaunchTest, CgroupsArePlacedAndShownReadOnly) {
  const auto layout = kernel::CgroupLayout::detect();
  if (layout.version() == kernel::CgroupVersion::none) GTEST_SKIP() << "no cgroups on this host";
  const std::string path = fmt::format("/bryo-runtime-test-{}", ::getpid());
  auto cgroup = kernel::ContainerCgroup::create(layout, path, {});
  const auto procs = cgroup.open_procs();
  const UniqueFd group_directory = cgroup.open_directory();
  for (const bool mapped : {false, true}) {
    oci::RuntimeSpec spec = shell_spec(
        "cat /proc/self/cgroup; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/x 2>&1 || mkdir /sys/fs/cgroup/*/x 2>&1");
    spec.mounts.push_back({"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}, {}, {}});
    RootfsSource source = directory(root_);
    if (mapped) {
      map_ids(spec);
      source.kind = RootfsSource::Kind::idmapped_directory;
    }
    Pipe pipe;
    LaunchInputs inputs;
    inputs.stdio = {-1, pipe.writer(), pipe.writer()};
    for (const UniqueFd& fd : procs) inputs.cgroup.procs.push_back(fd.get());
    if (group_directory) inputs.cgroup.directory = group_directory.get();
    const LaunchPlan plan = make_plan(spec, facts(), source, {path, "", "", false});
    Container container = Container::begin(plan, inputs);
    container.wait_created();
    EXPECT_THAT(cgroup.pids(), Contains(container.pid()));
    EXPECT_THAT(read_text(fmt::format("/proc/{}/cgroup", container.pid())), HasSubstr(path));
    container.start();
    const std::string output = pipe.drain();
    EXPECT_EQ(wait_for(container.pid()), 1);
    // The namespace hides where we are on the host.
    EXPECT_THAT(output, Not(HasSubstr(path))) << "mapped: " << mapped;
    EXPECT_THAT(output, HasSubstr("Read-only file system"));
  }
  for (int i = 0; i < 200 && !cgroup.remove(); ++i) ::usleep(5000);
  EXPECT_FALSE(cgroup.exists());
}

TEST_F(LaunchTest, ANetworkThatWasMadeAheadIsTheContainers) {
  oci::RuntimeSpec spec = shell_spec("cat /sys/class/net/lo/flags; ls /sys/class/net");
  kernel::NetnsMaker maker;
  const UniqueFd network = maker.take();
  Pipe pipe;
  LaunchInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.network = network.get();
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  Container container = Container::begin(plan, inputs);
  container.wait_created();
  EXPECT_TRUE(kernel::same_netns(network.get(), container.network_namespace().get()));
  container.start();
  EXPECT_EQ(pipe.drain(), "0x9\nlo\n") << "up, loopback";
  EXPECT_EQ(wait_for(container.pid()), 0);

  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  EXPECT_THROW(Container::begin(make_plan(spec, facts(), source), inputs), Error) << "somebody else would own it";
  std::erase_if(spec.linux_->namespaces,
                [](const auto& entry) { return entry.type == "user" || entry.type == "network"; });
  EXPECT_THROW(Container::begin(make_plan(spec, facts(), directory(root_)), inputs), Error) << "it has the host's";
}

TEST_F(LaunchTest, IsBornInItsCgroupOfV2) {
  const std::string hierarchy = kernel::CgroupLayout::detect().unified();
  if (hierarchy.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy on this host";
  const std::string name = fmt::format("/bryo-runtime-test-v2-{}", ::getpid());
  ASSERT_EQ(::mkdir((hierarchy + name).c_str(), 0755), 0);
  const UniqueFd group(::open((hierarchy + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  LaunchInputs inputs;
  inputs.cgroup.directory = group.get();
  Container container = Container::begin(plan, inputs);
  EXPECT_THAT(read_text(fmt::format("/proc/{}/cgroup", container.pid())), HasSubstr("0::" + name + "\n"));
  container.wait_created();
  container.start();
  oci::Process process = *spec.process;
  process.args = {"sleep", "100"};
  ExecInputs exec_inputs;
  exec_inputs.cgroup.directory = group.get();
  ExecProcess more = ExecProcess::start(make_exec_plan(process, spec, facts()), container.pidfd(), exec_inputs);
  EXPECT_THAT(read_text(fmt::format("/proc/{}/cgroup", more.pid())), HasSubstr("0::" + name + "\n"));
  ::kill(container.pid(), SIGKILL);
  wait_for(more.pid());
  wait_for(container.pid());
  EXPECT_EQ(::rmdir((hierarchy + name).c_str()), 0) << "nothing else is in it";
}

TEST_F(LaunchTest, InitProgramReapsAndForwards) {
  if (!kStaticPrograms) GTEST_SKIP() << "a sanitized bryo-init is dynamic and cannot run in the container";
  const std::string init = std::filesystem::read_symlink("/proc/self/exe").parent_path().string() + "/bryo-init";
  if (::access(init.c_str(), X_OK) != 0) GTEST_SKIP() << "bryo-init is not built beside the test";
  PlanOptions options;
  options.init_program = init;
  oci::RuntimeSpec spec = shell_spec("");
  spec.process->args = {"/sbin/docker-init", "--", "sh", "-c", "(sleep 0.01 &) ; ps; exit 42"};
  const Result result = run(spec, directory(root_), options);
  EXPECT_EQ(result.status, 42);
  EXPECT_THAT(result.output, HasSubstr("/sbin/docker-init -- sh"));
  spec.process->args = {"/sbin/docker-init", "--", "sh", "-c",
                        "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"};
  Pipe pipe;
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_), options);
  Container container = Container::begin(plan, {{-1, pipe.writer(), pipe.writer()}, {}, {}, {}, -1});
  container.wait_created();
  container.start();
  pipe.close_writer();
  EXPECT_EQ(pipe.read_line(), "ready");
  ::kill(container.pid(), SIGTERM);
  EXPECT_EQ(pipe.drain(), "got\n");
  EXPECT_EQ(wait_for(container.pid()), 9);
}

TEST_F(LaunchTest, GateElsewhereIsOpenedByAnotherConnection) {
  // What `create` and `start` of bryo-oci do, in one process.
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd unused_a(ends[0]);
  UniqueFd unused_b(ends[1]);
  UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = scratch_ / "gate";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  Pipe pipe;
  const LaunchPlan plan = make_plan(shell_spec("echo through"), facts(), directory(root_));
  LaunchInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.gate_listener = listener.get();
  pid_t pid = -1;
  {
    Container container = Container::begin(plan, inputs);
    container.wait_created();
    pid = container.pid();
  }
  listener.reset();
  const auto connect = [&] {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
    return fd;
  };
  connect().reset();  // comes and goes without a word: nothing starts
  open_gate(connect().get());
  EXPECT_EQ(pipe.drain(), "through\n");
  EXPECT_EQ(wait_for(pid), 0);
}

TEST_F(LaunchTest, FilesystemsMadeEarlyAreMountedInTheirTurn) {
  oci::RuntimeSpec spec =
      shell_spec("while read -r d p t r; do case $p in /proc|/dev|/list/*) echo $p $t;; esac; done </proc/mounts");
  PlanOptions options;
  options.mounts_in_order = true;
  spec.mounts.push_back({"/list/first", "tmpfs", "tmpfs", {"mode=700"}, {}, {}});
  spec.mounts.push_back({"/list/second", "mqueue", "mqueue", {}, {}, {}});
  spec.mounts.push_back({"/list/third", "tmpfs", "tmpfs", {"size=1m"}, {}, {}});
  const Result result = run(spec, directory(root_), options);
  EXPECT_EQ(result.status, 0);
  // Linux lists by age since 6.8, and clones what the launcher made since 6.15.
  if (facts().kernel >= 6015) {
    EXPECT_EQ(result.output, "/proc proc\n/dev tmpfs\n/list/first tmpfs\n/list/second mqueue\n/list/third tmpfs\n");
  }
  spec.mounts[spec.mounts.size() - 2].options = {"nonsense=1"};
  spec.mounts.back().options = {"mode=700", "size=much"};
  EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("mount mqueue on /list/second"));
  spec.mounts[spec.mounts.size() - 2].options = {};
  EXPECT_THAT(failure_of(spec, directory(root_)),
              AllOf(HasSubstr("mount tmpfs on /list/third"), HasSubstr("Bad value for 'size'")));
}

TEST_F(LaunchTest, OpenGateLetsTheProgramThrough) {
  Pipe pipe;
  const LaunchPlan plan = make_plan(shell_spec("echo through; exit 3"), facts(), directory(root_));
  LaunchInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.gate_open = true;
  Container container = Container::begin(plan, inputs);
  container.wait_created();
  // Before start(), which has nothing left to say.
  EXPECT_EQ(pipe.drain(), "through\n");
  container.start();
  EXPECT_EQ(wait_for(container.pid()), 3);

  oci::RuntimeSpec missing = shell_spec("");
  missing.process->args = {"/bin/nothing"};
  const LaunchPlan other = make_plan(missing, facts(), directory(root_));
  Container failing = Container::begin(other, inputs);
  EXPECT_THROW(failing.wait_created(), Error);
}

TEST_F(LaunchTest, NoChildIsLeftByAFailure) {
  oci::RuntimeSpec spec = shell_spec("true");
  spec.mounts.push_back({"/x", "bind", scratch_ / "does-not-exist", {"rbind"}, {}, {}});
  EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("does-not-exist: No such file or directory"));
  errno = 0;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace bryo::runtime::testing

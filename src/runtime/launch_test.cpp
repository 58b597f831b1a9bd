// Real containers, as root.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "kernel/cgroups.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/netns.hpp"
#include "kernel/netns_maker.hpp"
#include "kernel/rlimits.hpp"
#include "runtime/prepare_mounts.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

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

cpu_set_t own_processors() {
  cpu_set_t out;
  EXPECT_EQ(::sched_getaffinity(0, sizeof out, &out), 0);
  return out;
}

TEST_F(LaunchTest, ANetworkThatWasMadeAheadIsTheContainers) {
  oci::RuntimeSpec spec = shell_spec("cat /sys/class/net/lo/flags; ls /sys/class/net");
  kernel::NetnsMaker maker(own_processors());
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

TEST_F(LaunchTest, MountsThatWereMadeAheadAreTheContainers) {
  oci::RuntimeSpec spec = shell_spec("echo $PWD");
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  std::vector<UniqueFd> mounts = prepare_mounts(plan, {}, -1);
  // Nothing is looked for under its name any more.
  const auto aside = root_ + "-aside";
  std::filesystem::rename(root_, aside);
  Pipe pipe;
  LaunchInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.mounts = &mounts;
  Container container = Container::begin(plan, inputs);
  EXPECT_TRUE(mounts.empty());
  container.wait_created();
  container.start();
  EXPECT_EQ(pipe.drain(), "/\n");
  EXPECT_EQ(wait_for(container.pid()), 0);
  std::filesystem::rename(aside, root_);

  mounts = prepare_mounts(plan, {}, -1);
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  EXPECT_THROW(Container::begin(make_plan(spec, facts(), source), inputs), Error) << "they belong to the launcher";
}

TEST(NetnsMakerTest, ClosesWhatIsSlowToCloseAndLeavesItsOwnerWhereItIs) {
  const cpu_set_t before = own_processors();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  kernel::NetnsMaker maker(one, UniqueFd(ends[1]));
  const UniqueFd network = maker.take();
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "end of file: nobody has the other end";
  EXPECT_FALSE(kernel::same_netns(network.get(), kernel::open_own_netns().get()));
  const cpu_set_t after = own_processors();
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
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

// Fields of the runtime specification that take more than a bundle to see: other namespaces, agents, what must be
// refused.
#include <gmock/gmock.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <thread>

#include "kernel/namespaces.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

namespace fs = std::filesystem;

class SpecTest : public LaunchTest {};

// --- namespaces ---

// A process that holds a mount namespace of its own, with a file system in it that nobody else has.
class MountNamespace {
 public:
  explicit MountNamespace(const std::string& mark) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("none", mark.c_str(), "tmpfs", 0, nullptr) != 0 || ::write(ends[1], "x", 1) != 1)
        ::_exit(1);
      for (;;) ::pause();
    }
    char ready = 0;
    EXPECT_EQ(::read(ends[0], &ready, 1), 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~MountNamespace() {
    ::kill(pid_, SIGKILL);
    wait_for(pid_);
  }
  MountNamespace(const MountNamespace&) = delete;
  MountNamespace& operator=(const MountNamespace&) = delete;
  std::string path() const { return fmt::format("/proc/{}/ns/mnt", pid_); }

 private:
  pid_t pid_ = -1;
};

TEST_F(SpecTest, JoinedMountNamespaceIsTheContainers) {
  fs::create_directories(scratch_ / "mark");
  const MountNamespace other(scratch_ / "mark");
  oci::RuntimeSpec spec = shell_spec("readlink /proc/self/ns/mnt; ls /; grep -c mark /proc/self/mountinfo");
  for (auto& entry : spec.linux_->namespaces)
    if (entry.type == "mount") entry.path = other.path();
  const std::string before = read_text("/proc/self/mountinfo");
  char name[64] = {};
  ASSERT_GT(::readlink(other.path().c_str(), name, sizeof name - 1), 0);
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, StartsWith(std::string(name) + "\n"));
  EXPECT_THAT(result.output, HasSubstr("etc\n"));
  EXPECT_THAT(result.output, ::testing::EndsWith("0\n")) << "its old tree is gone from it";
  EXPECT_EQ(read_text("/proc/self/mountinfo"), before) << "and ours is as it was";
}

TEST_F(SpecTest, JoinedMountNamespaceUnderANewMapIsRefused) {
  oci::RuntimeSpec spec = shell_spec("true");
  map_ids(spec);
  for (auto& entry : spec.linux_->namespaces)
    if (entry.type == "mount") entry.path = "/proc/self/ns/mnt";
  EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("joined only together with its user namespace"));
}

TEST_F(SpecTest, MapsOfAJoinedUserNamespaceNeedNotBeSaid) {
  oci::RuntimeSpec first_spec = shell_spec("sleep 100");
  map_ids(first_spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched first(first_spec, source);
  first.start();
  oci::RuntimeSpec spec = shell_spec("id -u; cat /proc/self/uid_map; echo x > /dev/null && echo device");
  spec.linux_->namespaces.push_back({"user", fmt::format("/proc/{}/ns/user", first.container().pid())});
  for (auto& entry : spec.linux_->namespaces)
    if (entry.type == "network") entry.path = fmt::format("/proc/{}/ns/net", first.container().pid());
  EXPECT_THAT(failure_of(spec, source), HasSubstr("needs both"));
  complete_mappings(spec);
  ASSERT_EQ(spec.linux_->uid_mappings.size(), 1U);
  EXPECT_EQ(spec.linux_->uid_mappings[0], (oci::LinuxIdMapping{0, kMapBase, 65536}));
  EXPECT_EQ(spec.linux_->gid_mappings, spec.linux_->uid_mappings);
  EXPECT_THAT(run(spec, source).output, HasSubstr("device\n"));
  // Said, they are left as they are; and a path that is no user namespace is an error.
  spec.linux_->uid_mappings[0].size = 7;
  complete_mappings(spec);
  EXPECT_EQ(spec.linux_->uid_mappings[0].size, 7U);
  spec.linux_->uid_mappings.clear();
  spec.linux_->gid_mappings.clear();
  for (auto& entry : spec.linux_->namespaces)
    if (entry.type == "user") entry.path = "/proc/self/ns/net";
  EXPECT_THROW(complete_mappings(spec), Error);
}

// --- process ---

TEST_F(SpecTest, ExecRunsOnTheCpusAskedFor) {
  if (::sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "one CPU: nothing to choose";
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"grep", "Cpus_allowed_list", "/proc/self/status"};
  process.exec_cpu_affinity = oci::ExecCpuAffinity{"0", "1"};
  EXPECT_EQ(exec(launched, spec, process).output, "Cpus_allowed_list:\t1\n");
  process.exec_cpu_affinity = oci::ExecCpuAffinity{"0", ""};
  EXPECT_EQ(exec(launched, spec, process).output, "Cpus_allowed_list:\t0\n");
  process.exec_cpu_affinity = oci::ExecCpuAffinity{"", "8000"};
  try {
    exec(launched, spec, process);
    FAIL() << "there is no such CPU";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("process.execCPUAffinity.final"));
  }
}

TEST_F(SpecTest, AmbientCapabilitiesThatCannotBeAreAWarning) {
  oci::RuntimeSpec spec = shell_spec("grep CapAmb /proc/self/status");
  spec.process->capabilities->ambient = {"CAP_CHOWN"};
  const Result result = run(spec, directory(root_));
  EXPECT_EQ(result.output, "CapAmb:\t0000000000000000\n");
  EXPECT_THAT(result.warnings, Contains(HasSubstr("process.capabilities.ambient: CAP_CHOWN")));
}

TEST_F(SpecTest, ClocksOfANewTimeNamespaceAreTheProgramsAtOnce) {
  oci::RuntimeSpec spec = shell_spec("cut -d. -f1 /proc/uptime");
  spec.linux_->namespaces.push_back({"time", ""});
  spec.linux_->time_offsets["boottime"] = {1'000'000'000, 0};
  EXPECT_GT(std::stoll(run(spec, directory(root_)).output), 1'000'000'000);
}

// --- propagation ---

TEST_F(SpecTest, RecursiveRootfsPropagationIsOfEveryMount) {
  fs::create_directories(scratch_ / "data");
  oci::RuntimeSpec spec = shell_spec("grep ' /m ' /proc/self/mountinfo | grep -c shared:");
  spec.mounts.push_back({"/m", "bind", scratch_ / "data", {"rbind"}, {}, {}});
  spec.linux_->rootfs_propagation = "rshared";
  EXPECT_EQ(run(spec, directory(root_)).output, "1\n");
  spec.linux_->rootfs_propagation = "shared";
  EXPECT_EQ(run(spec, directory(root_)).output, "0\n");
}

// --- devices ---

TEST_F(SpecTest, AnotherFileInThePlaceOfADeviceIsAnError) {
  oci::RuntimeSpec spec = shell_spec("stat -c '%F %t:%T' /srv/zero");
  spec.linux_->devices = {{"/srv/zero", "c", 1, 5, 0666, {}, {}}};
  fs::create_directories(root_ + "/srv");
  for (const int kind : {0, 1, 2}) {
    fs::remove(root_ + "/srv/zero");
    if (kind == 0) write_text(root_ + "/srv/zero", "");
    if (kind == 1) fs::create_symlink("/dev/zero", root_ + "/srv/zero");
    if (kind == 2) ::mknod((root_ + "/srv/zero").c_str(), S_IFCHR | 0600, makedev(1, 3));
    EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("make device /srv/zero: another file is there")) << kind;
  }
  fs::remove(root_ + "/srv/zero");
  ASSERT_EQ(::mknod((root_ + "/srv/zero").c_str(), S_IFCHR | 0600, makedev(1, 5)), 0);
  EXPECT_EQ(run(spec, directory(root_)).output, "character special file 1:5\n");
}

// --- tmpcopyup ---

class CopyUpTest : public SpecTest {
 protected:
  Result copied(const std::string& script, const std::string& size = "1m") {
    oci::RuntimeSpec spec = shell_spec(script);
    spec.mounts.push_back({"/t", "tmpfs", "tmpfs", {"tmpcopyup", "size=" + size}, {}, {}});
    return run(spec, directory(root_));
  }
};

TEST_F(CopyUpTest, LinksAreCopiedAndNeverFollowed) {
  fs::create_directories(root_ + "/t/d");
  write_text(scratch_ / "secret", "of the host\n");
  fs::create_symlink(scratch_ / "secret", root_ + "/t/file");
  fs::create_directory_symlink(scratch_.path(), fs::path(root_ + "/t/d/up"));
  fs::create_directory_symlink("../../../../../../../../", fs::path(root_ + "/t/climb"));
  const Result result = copied("readlink /t/file; readlink /t/d/up; readlink /t/climb; cat /t/file 2>/dev/null");
  EXPECT_EQ(result.output, (scratch_ / "secret") + "\n" + scratch_.path() + "\n../../../../../../../../\n");
}

TEST_F(CopyUpTest, MountsBelowAreNotEntered) {
  fs::create_directories(root_ + "/t/sub");
  write_text(scratch_ / "data", "x");
  fs::create_directories(scratch_ / "volume");
  write_text(scratch_ / "volume/big", std::string(4 << 20, 'x'));
  oci::RuntimeSpec spec = shell_spec("ls /t/sub; echo end");
  spec.mounts.push_back({"/t/sub", "bind", scratch_ / "volume", {"rbind"}, {}, {}});
  spec.mounts.push_back({"/t", "tmpfs", "tmpfs", {"tmpcopyup", "size=1m"}, {}, {}});
  EXPECT_THAT(run(spec, directory(root_)).output, HasSubstr("end\n"));
}

TEST_F(CopyUpTest, WhatDoesNotFitOrIsTooDeepIsAnErrorThatNamesIt) {
  fs::create_directories(root_ + "/t");
  write_text(root_ + "/t/big", std::string(2 << 20, 'x'));
  EXPECT_THAT([&] { copied("true"); }, ::testing::ThrowsMessage<Error>(HasSubstr("/t into its tmpfs: big")));
  fs::remove(root_ + "/t/big");
  std::string deep = root_ + "/t";
  for (int i = 0; i < 140; ++i) deep += "/d";
  fs::create_directories(deep);
  EXPECT_THAT([&] { copied("true"); }, ::testing::ThrowsMessage<Error>(HasSubstr("too deep")));
}

TEST_F(CopyUpTest, ManyFilesOfEveryKindAreThere) {
  fs::create_directories(root_ + "/t");
  for (int i = 0; i < 300; ++i) write_text(root_ + fmt::format("/t/a-rather-long-name-{}", i), "x");
  ASSERT_EQ(::mkfifo((root_ + "/t/pipe").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((root_ + "/t").c_str(), 0711), 0);
  EXPECT_EQ(copied("ls /t | wc -l; stat -c '%F' /t/pipe; stat -c %a /t", "4m").output, "301\nfifo\n711\n");
}

// --- seccomp notifications ---

oci::LinuxSeccomp notifying(const std::vector<std::string>& names) {
  oci::LinuxSeccomp profile;
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.architectures = {"SCMP_ARCH_X86_64"};
  profile.listener_path = "/run/agent";
  profile.syscalls = {{names, "SCMP_ACT_NOTIFY", {}, {}}};
  return profile;
}

// Answers every call with this errno, until the filter's last process is gone; counts them.
class Agent {
 public:
  explicit Agent(int answer) : answer_(answer) {}
  ~Agent() {
    if (thread_.joinable()) thread_.join();
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ListenerHandler handler() {
    return [this](UniqueFd listener, pid_t pid) {
      pid_ = pid;
      thread_ = std::thread([this, fd = std::move(listener)] { serve(fd.get()); });
    };
  }
  int wait() {
    thread_.join();
    return count_;
  }
  pid_t pid() const { return pid_; }

 private:
  void serve(int fd) {
    for (;;) {
      struct seccomp_notif request = {};
      if (::ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return;
      ++count_;
      struct seccomp_notif_resp response = {};
      response.id = request.id;
      response.error = -answer_;
      if (answer_ == 0) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      ::ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
    }
  }
  int answer_;
  int count_ = 0;
  pid_t pid_ = -1;
  std::thread thread_;
};

Result run_with(Agent& agent, const oci::RuntimeSpec& spec, const RootfsSource& root) {
  Pipe pipe;
  const LaunchPlan plan = make_plan(spec, facts(), root);
  LaunchInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.on_listener = agent.handler();
  Container container = Container::begin(plan, inputs);
  container.wait_created();
  container.start();
  Result result;
  result.output = pipe.drain();
  EXPECT_EQ(agent.pid(), container.pid());
  result.status = wait_for(container.pid());
  return result;
}

TEST_F(SpecTest, SeccompNotificationsReachTheAgent) {
  for (const bool no_new_privileges : {true, false}) {
    oci::RuntimeSpec spec = shell_spec("mkdir /tmp/x; echo end");
    spec.process->no_new_privileges = no_new_privileges;
    spec.linux_->seccomp = notifying({"mkdir", "mkdirat"});
    Agent agent(ENOTTY);
    const Result result = run_with(agent, spec, directory(root_));
    EXPECT_THAT(result.output,
                HasSubstr("mkdir: can't create directory '/tmp/x': Inappropriate ioctl for device\nend\n"));
    EXPECT_EQ(agent.wait(), 1);
  }
}

// Our own calls between the filter and the program are the agent's business too; none of them can hang us.
TEST_F(SpecTest, SeccompNotificationsOfWhatTheRuntimeCallsItself) {
  oci::RuntimeSpec spec = shell_spec("echo end");
  spec.process->no_new_privileges = false;
  spec.linux_->seccomp = notifying({"execve", "capset", "prctl", "read", "capget"});
  Agent agent(0);
  EXPECT_EQ(run_with(agent, spec, directory(root_)).output, "end\n");
  EXPECT_GE(agent.wait(), 3);
}

TEST_F(SpecTest, SeccompNotificationsOfAnExec) {
  oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  spec.linux_->seccomp = notifying({"mkdir"});
  oci::Process process = *spec.process;
  process.args = {"sh", "-c", "mkdir /tmp/x"};
  Agent agent(ENOTTY);
  Pipe pipe;
  ExecInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.on_listener = agent.handler();
  const ExecProcess started =
      ExecProcess::start(make_exec_plan(process, spec, facts()), launched.container().pidfd(), inputs);
  EXPECT_THAT(pipe.drain(), HasSubstr("Inappropriate ioctl for device"));
  wait_for(started.pid());
  EXPECT_EQ(agent.pid(), started.pid());
}

TEST_F(SpecTest, AnAgentThatCannotBeReachedEndsTheStart) {
  oci::RuntimeSpec spec = shell_spec("echo must not run");
  spec.linux_->seccomp = notifying({"mkdir"});
  EXPECT_THAT(failure_of(spec, directory(root_)), HasSubstr("linux.seccomp.listenerPath")) << "nobody here takes it";
  Pipe pipe;
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  LaunchInputs inputs;
  inputs.stdio = {-1, pipe.writer(), pipe.writer()};
  inputs.on_listener = [](const UniqueFd&, pid_t) { fail(ErrorKind::unavailable, "no agent"); };
  Container container = Container::begin(plan, inputs);
  container.wait_created();
  EXPECT_THROW(container.start(), Error);
  EXPECT_EQ(pipe.drain(), "");
  errno = 0;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD) << "the child is gone";
}

}  // namespace
}  // namespace bryo::runtime::testing

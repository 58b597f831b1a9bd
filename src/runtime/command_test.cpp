// bryo-oci as people and engines call it: the program itself, run as a process.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <chrono>

#include "base/json.hpp"
#include "kernel/cgroups.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Outcome {
  int status = -1;
  std::string output;  // standard output and error
};

class CommandTest : public LaunchTest {
 protected:
  void SetUp() override {
    LaunchTest::SetUp();
    if (IsSkipped()) return;
    program_ = std::filesystem::read_symlink("/proc/self/exe").parent_path().string() + "/bryo-oci";
    if (::access(program_.c_str(), X_OK) != 0) GTEST_SKIP() << program_ << " is not built";
    id_ = fmt::format("bryo-oci-test-{}", ::getpid());
  }
  void TearDown() override {
    if (!program_.empty()) oci("delete --force " + id_);
  }

  void configure(const oci::RuntimeSpec& spec) const {
    write_text(scratch_ / "config.json", oci::format_runtime_spec(spec));
  }
  std::string command(const std::string& arguments) const {
    return fmt::format("{} --root {} {}", program_, scratch_ / "state", arguments);
  }
  // Without cgroups unless asked: what is tested here is not their business.
  Outcome oci(const std::string& arguments, const std::string& global = "--cgroup-manager disabled") const {
    return shell(command(global + " " + arguments));
  }
  static Outcome shell(const std::string& line) {
    Outcome out;
    FILE* stream = ::popen(("exec 2>&1; " + line).c_str(), "re");
    char block[4096];
    std::size_t size = 0;
    while ((size = std::fread(block, 1, sizeof block, stream)) > 0) out.output.append(block, size);
    const int status = ::pclose(stream);
    out.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return out;
  }
  // A created container holds its caller's descriptors, so its output goes to a file.
  Outcome create(const std::string& options = "", const std::string& output = "out") const {
    const std::string out = scratch_ / output;
    return shell(command(
        fmt::format("--cgroup-manager disabled create {} --bundle {} {} >{} 2>&1 </dev/null; s=$?; cat {}; exit $s",
                    options, scratch_.path(), id_, out, out)));
  }
  json::Value state() const { return json::parse(oci("state " + id_).output); }
  std::string status() const { return std::string(state().as_object().at("status").as_string()); }
  void wait_for_status(const std::string& wanted) const {
    // Its own parent is gone, so nobody tells us: ask, at most ten seconds.
    for (int i = 0; i < 1000 && status() != wanted; ++i) ::poll(nullptr, 0, 10);
    EXPECT_EQ(status(), wanted);
  }

  std::string program_;
  std::string id_;
};

TEST_F(CommandTest, RunGivesOutputAndExitStatus) {
  configure(shell_spec("echo out; echo err >&2; exit 5"));
  const Outcome run = oci("run --bundle " + scratch_.path() + " " + id_);
  EXPECT_EQ(run.output, "out\nerr\n");
  EXPECT_EQ(run.status, 5);
  EXPECT_THAT(oci("state " + id_).output, HasSubstr("container does not exist"));
  configure(shell_spec("kill -9 $$"));
  EXPECT_EQ(oci("run --bundle " + scratch_.path() + " " + id_).status, 0) << "pid 1 is immune to its own signals";
  oci::RuntimeSpec spec = shell_spec("");
  spec.process->args = {"nope"};
  configure(spec);
  const Outcome missing = oci("run --bundle " + scratch_.path() + " " + id_);
  EXPECT_EQ(missing.status, 127);
  EXPECT_THAT(missing.output, HasSubstr("exec: \"nope\": executable file not found in $PATH"));
  EXPECT_THAT(oci("list -q").output, "");
}

TEST_F(CommandTest, LifeOfAContainer) {
  configure(shell_spec("echo started; sleep 100"));
  ASSERT_EQ(create("--pid-file " + (scratch_ / "pid")).status, 0);
  EXPECT_EQ(status(), "created");
  const auto view = state().as_object();
  EXPECT_EQ(std::to_string(view.at("pid").as_int64()), read_text(scratch_ / "pid"));
  EXPECT_EQ(view.at("bundle").as_string(), scratch_.path());
  EXPECT_EQ(create("", "second").status, 1) << "the id is taken";
  EXPECT_EQ(oci("start " + id_).status, 0);
  EXPECT_EQ(status(), "running");
  EXPECT_THAT(oci("start " + id_).output, HasSubstr("cannot start an already running container"));
  const Outcome exec = oci("exec --env X=y --cwd /tmp --user 5:6 " + id_ + " sh -c 'echo $X; pwd; id -u; exit 4'");
  EXPECT_EQ(exec.output, "y\n/tmp\n5\n");
  EXPECT_EQ(exec.status, 4);
  EXPECT_THAT(oci("list").output, HasSubstr(id_));
  EXPECT_THAT(oci("delete " + id_).output, HasSubstr("that is not stopped"));
  EXPECT_EQ(oci("kill " + id_ + " KILL").status, 0);
  wait_for_status("stopped");
  EXPECT_THAT(oci("exec " + id_ + " true").output, HasSubstr("cannot exec in a stopped container"));
  EXPECT_THAT(oci("kill " + id_ + " KILL").output, HasSubstr("container not running"));
  EXPECT_EQ(oci("delete " + id_).status, 0);
  EXPECT_EQ(oci("delete " + id_).status, 1);
  EXPECT_EQ(oci("delete --force " + id_).status, 0);
  EXPECT_EQ(read_text(scratch_ / "out"), "started\n");
}

TEST_F(CommandTest, MissingProgramIsToldAtCreate) {
  oci::RuntimeSpec spec = shell_spec("");
  spec.process->args = {"/nope"};
  configure(spec);
  const Outcome made = create();
  EXPECT_EQ(made.status, 127);
  EXPECT_THAT(made.output, HasSubstr("exec: \"/nope\": stat /nope: no such file or directory"));
  EXPECT_EQ(oci("list -q").output, "");
}

TEST_F(CommandTest, CgroupsAreMadeShownAndRemoved) {
  if (kernel::CgroupLayout::detect().version() == kernel::CgroupVersion::none) GTEST_SKIP() << "no cgroups here";
  oci::RuntimeSpec spec = shell_spec("sleep 100");
  spec.linux_->cgroups_path = "/" + id_;
  configure(spec);
  ASSERT_EQ(
      shell(command("run --detach --bundle " + scratch_.path() + " " + id_ + " >/dev/null 2>&1 </dev/null")).status, 0);
  EXPECT_THAT(oci("ps --format json " + id_, "").output, StartsWith("["));
  EXPECT_EQ(oci("pause " + id_, "").output, "");
  EXPECT_EQ(status(), "paused");
  EXPECT_THAT(oci("exec " + id_ + " true", "").output, HasSubstr("paused container"));
  EXPECT_EQ(oci("resume " + id_, "").output, "");
  EXPECT_EQ(status(), "running");
  EXPECT_EQ(oci("exec " + id_ + " true", "").status, 0);
  EXPECT_EQ(oci("delete --force " + id_, "").status, 0);
  const auto cgroup = kernel::ContainerCgroup::open(kernel::CgroupLayout::detect(), "/" + id_);
  EXPECT_FALSE(cgroup.exists());
}

TEST_F(CommandTest, NoMemoryIsNoLimitOfMemory) {
  if (!kernel::CgroupLayout::detect().has("memory")) GTEST_SKIP() << "no memory controller here";
  for (const auto& [limit, swap] : {std::pair{0, 0}, std::pair{64 << 20, 0}}) {
    oci::RuntimeSpec spec = shell_spec("exit 7");
    spec.linux_->cgroups_path = "/" + id_;
    oci::LinuxMemory& memory = spec.linux_->resources->memory.emplace();
    memory.limit = limit;
    memory.swap = swap;
    memory.reservation = 0;
    configure(spec);
    const Outcome run = oci("run --bundle " + scratch_.path() + " " + id_, "");
    EXPECT_EQ(run.status, 7) << "limit " << limit << ": " << run.output;
  }
}

TEST_F(CommandTest, TerminalGoesToTheConsoleSocket) {
  oci::RuntimeSpec spec = shell_spec("tty; read line; echo got $line");
  spec.process->terminal = true;
  configure(spec);
  EXPECT_THAT(create().output, HasSubstr("without setting console socket"));
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = scratch_ / "console.sock";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(create("--console-socket " + path).status, 0);
  const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  char name[64] = {};
  struct iovec part = {name, sizeof name};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ASSERT_GT(::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC), 0);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  const UniqueFd master(fd);
  EXPECT_EQ(oci("start " + id_).status, 0);
  ASSERT_EQ(::write(master.get(), "hello\n", 6), 6);
  std::string text;
  char block[256];
  ssize_t size = 0;
  while ((size = ::read(master.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
  EXPECT_THAT(text, HasSubstr("/dev/pts/0"));
  EXPECT_THAT(text, HasSubstr("got hello"));
}

TEST_F(CommandTest, ATerminalTakesInputWhileItsOutputWaits) {
  oci::RuntimeSpec spec = shell_spec("stty raw -echo; echo ready; head -c 1000000 | cat");
  spec.process->terminal = true;
  configure(spec);
  const Outcome run =
      shell("(sleep 1; head -c 1000000 /dev/zero; sleep 1) | timeout -s KILL 20 " +
            command("--cgroup-manager disabled run --bundle " + scratch_.path() + " " + id_) + " | wc -c");
  EXPECT_EQ(run.output, "1000006\n");
}

TEST_F(CommandTest, WhatAProgramLeavesBehindOnItsTerminalHoldsNobody) {
  configure(shell_spec("sleep 100"));
  ASSERT_EQ(create().status, 0);
  ASSERT_EQ(oci("start " + id_).status, 0);
  const auto before = std::chrono::steady_clock::now();
  const Outcome left = shell("timeout -s KILL 20 " + command("--cgroup-manager disabled exec -t " + id_) +
                             " sh -c 'busybox setsid sleep 30 & sleep 0.5; echo done' </dev/null");
  EXPECT_EQ(left.output, "done\r\n");
  EXPECT_EQ(left.status, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

// Somebody who is told that the exec has failed looks after no process of it.
TEST_F(CommandTest, ExecThatFailsBehindItsStartLeavesNoProcess) {
  configure(shell_spec("sleep 100"));
  ASSERT_EQ(create().status, 0);
  ASSERT_EQ(oci("start " + id_).status, 0);
  const Outcome pid =
      oci("exec --detach --pid-file /nonexistent/pid " + id_ + " sleep 54321 </dev/null >/dev/null 2>&1");
  EXPECT_EQ(pid.status, 255);
  const Outcome console = oci("exec --detach --tty --console-socket /nonexistent/socket " + id_ +
                              " sleep 54321 </dev/null >/dev/null 2>&1");
  EXPECT_EQ(console.status, 255);
  EXPECT_THAT(oci("exec " + id_ + " ps </dev/null").output, Not(HasSubstr("54321")));
}

// CRIU itself is tests/e2e's business: this one tells what it was started with.
TEST_F(CommandTest, CriuBeginsWithoutOurSignalsAndDirectoriesOfOthersStayAsTheyAre) {
  configure(shell_spec("sleep 100"));
  ASSERT_EQ(create().status, 0);
  ASSERT_EQ(oci("start " + id_).status, 0);
  const std::string criu = scratch_ / "criu";
  write_text(criu,
             "#!/usr/bin/busybox sh\ngrep SigBlk /proc/self/status >>" + (scratch_ / "signals") + "\ntest $1 = dump\n");
  ::chmod(criu.c_str(), 0755);
  for (const char* name : {"images", "work"}) {
    std::filesystem::create_directory(scratch_ / name);
    ::chmod((scratch_ / name).c_str(), 01777);
  }
  const std::string places = fmt::format(" --image-path {} --work-path {} ", scratch_ / "images", scratch_ / "work");
  const std::string global = "--cgroup-manager disabled --criu " + criu;
  const Outcome dump = oci("checkpoint --leave-running" + places + id_, global);
  EXPECT_EQ(dump.status, 0) << dump.output;
  EXPECT_NE(oci("restore --bundle " + scratch_.path() + places + id_ + "-again", global).status, 0) << "it refuses";
  EXPECT_EQ(read_text(scratch_ / "signals"), "SigBlk:\t0000000000000000\nSigBlk:\t0000000000000000\n");
  struct stat info = {};
  for (const char* name : {"images", "work"}) {
    ASSERT_EQ(::stat((scratch_ / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 01777U) << name;
  }
  const Outcome fresh = oci("checkpoint --leave-running --image-path " + (scratch_ / "new/images") + " " + id_, global);
  EXPECT_EQ(fresh.status, 0) << fresh.output;
  ASSERT_EQ(::stat((scratch_ / "new/images").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U) << "images hold all memory of the container";
}

TEST_F(CommandTest, FailuresAreLoggedAsEnginesReadThem) {
  const std::string log = scratch_ / "log.json";
  EXPECT_EQ(oci("--log " + log + " --log-format json run --bundle /nope x").status, 1);
  const auto line = json::parse(read_text(log)).as_object();
  EXPECT_EQ(line.at("level").as_string(), "error");
  EXPECT_THAT(std::string(line.at("msg").as_string()), HasSubstr("/nope/config.json"));
}

TEST_F(CommandTest, HooksGetTheStateAndCanFail) {
  oci::RuntimeSpec spec = shell_spec("true");
  write_text(scratch_ / "hook", "#!/bin/sh\ncat > " + (scratch_ / "seen") + "\npwd >> " + (scratch_ / "seen") +
                                    "\nenv >> " + (scratch_ / "seen") + "\n");
  ::chmod((scratch_ / "hook").c_str(), 0755);
  spec.hooks.emplace();
  spec.hooks->create_runtime = {{scratch_ / "hook", {"hook"}, {"A=b"}, {}}};
  configure(spec);
  EXPECT_EQ(oci("run --bundle " + scratch_.path() + " " + id_).status, 0);
  const std::string seen = read_text(scratch_ / "seen");
  EXPECT_THAT(seen, HasSubstr("\"status\":\"creating\""));
  EXPECT_THAT(seen, HasSubstr("}/\n"));
  // CVE-2025-23266: nothing of the image's or the caller's environment.
  EXPECT_THAT(seen, HasSubstr("A=b"));
  EXPECT_THAT(seen, Not(HasSubstr("HOME=")));
  spec.hooks->create_runtime[0].path = "/bin/false";
  configure(spec);
  EXPECT_THAT(oci("run --bundle " + scratch_.path() + " " + id_).output,
              HasSubstr("createRuntime hook /bin/false failed"));
  spec.hooks->create_runtime.clear();
  spec.hooks->create_container = {{"/bin/false", {}, {}, {}}};
  configure(spec);
  EXPECT_THAT(oci("run --bundle " + scratch_.path() + " " + id_).output,
              HasSubstr("createContainer hook /bin/false failed: exit status 1"));
}

TEST_F(CommandTest, SpecPlanAndFeatures) {
  std::filesystem::create_directories(scratch_ / "bundle/rootfs");
  EXPECT_EQ(oci("spec --bundle " + (scratch_ / "bundle")).status, 0);
  EXPECT_THAT(oci("spec --bundle " + (scratch_ / "bundle")).output, HasSubstr("config.json exists"));
  const Outcome plan = oci("plan " + (scratch_ / "bundle"));
  EXPECT_THAT(plan.output, HasSubstr("mount proc on /proc nosuid nodev noexec (no links)\n"));
  EXPECT_THAT(plan.output, HasSubstr("pivot_root\n"));
  const auto features = json::parse(oci("features").output).as_object();
  EXPECT_EQ(features.at("ociVersionMax").as_string(), "1.2.0");
  EXPECT_THAT(oci("--version").output, HasSubstr("spec: 1.2.0"));
}

TEST_F(CommandTest, BadInputIsRefused) {
  for (const char* id : {"../x", "a/b", "..", "", "a b"}) EXPECT_EQ(oci(fmt::format("state '{}'", id)).status, 1) << id;
  EXPECT_THAT(oci("state ../x").output, HasSubstr("invalid container ID format"));
  EXPECT_THAT(oci("run --nonsense x").output, HasSubstr("flag provided but not defined"));
  EXPECT_THAT(oci("frobnicate").output, HasSubstr("No help topic"));
  EXPECT_THAT(oci("exec --user 1x y true").output, AnyOf(HasSubstr("does not exist"), HasSubstr("numeric")));
  write_text(scratch_ / "config.json", "{\"ociVersion\": \"1.0\", \"root\": {\"path\": 5}}");
  EXPECT_THAT(oci("run --bundle " + scratch_.path() + " " + id_).output, HasSubstr("root.path"));
  EXPECT_EQ(oci("list -q").output, "");
}

TEST_F(CommandTest, CVE_2026_30892_ExecUserIsANumberOrNothing) {
  configure(shell_spec("sleep 100"));
  ASSERT_EQ(create().status, 0);
  ASSERT_EQ(oci("start " + id_).status, 0);
  for (const char* user : {"1", "65534", "0", "1:2", "4294967294"}) {
    const std::string text = user;
    const Outcome outcome = oci("exec --user " + text + " " + id_ + " sh -c 'id -u'");
    EXPECT_EQ(outcome.output, text.substr(0, text.find(':')) + "\n");
  }
  for (const char* user :
       {"root", "-1", "4294967295", "4294967296", "0x0", "' 0'", "+0", "1:", ":1", "''", "1:x", "１"})
    EXPECT_EQ(oci(fmt::format("exec --user {} {} true", user, id_)).status, 255) << user;
}

// A program that is our own, kept running inside the container, whose root may trace and opens it: the file on the host
// must not be within reach when it has ended.
TEST_F(CommandTest, CVE_2019_5736_OwnProgramCannotBeWrittenTo) {
  if (!kStaticPrograms) GTEST_SKIP() << "a sanitized bryo-oci is dynamic and cannot run in the container";
  const std::string before = read_text(program_);
  oci::RuntimeSpec spec = shell_spec("sleep 100");
  for (auto* set : {&spec.process->capabilities->bounding, &spec.process->capabilities->effective,
                    &spec.process->capabilities->permitted})
    set->push_back("CAP_SYS_PTRACE");
  configure(spec);
  ASSERT_EQ(create().status, 0);
  ASSERT_EQ(oci("start " + id_).status, 0);
  // In the container this is bryo-oci itself, which waits for somebody to write its configuration.
  write_text(root_ + "/trick", "#!/proc/self/exe run\n");
  ::chmod((root_ + "/trick").c_str(), 0755);
  ASSERT_EQ(::mkfifo((root_ + "/tmp/config.json").c_str(), 0600), 0);
  FILE* running = ::popen(command("--cgroup-manager disabled exec --cwd /tmp " + id_ + " /trick 2>&1").c_str(), "re");
  write_text(root_ + "/attack", R"(
while :; do
  for p in /proc/[0-9]*; do
    if grep -q '^/proc/self/exe' $p/cmdline 2>/dev/null; then
      exec 9<$p/exe
      kill -9 ${p#/proc/}
      while grep -q '^/proc/self/exe' $p/cmdline 2>/dev/null; do :; done
      echo opened
      echo overwritten >/proc/self/fd/9
      exit 0
    fi
  done
done
)");
  const Outcome attack = oci("exec " + id_ + " sh /attack");
  ::pclose(running);
  EXPECT_THAT(attack.output, StartsWith("opened\n"));
  EXPECT_THAT(attack.output, HasSubstr("Read-only file system"));
  EXPECT_EQ(read_text(program_), before);
}

// The system calls of a program up to its first execve of its own, or all of them.
std::vector<std::uint64_t> calls_before_exec(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const UniqueFd nowhere(::open("/dev/null", O_RDWR));
    for (const int fd : {0, 1, 2}) ::dup2(nowhere.get(), fd);
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(121);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);  // it stops when its execve is done
  EXPECT_EQ(::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL),
            0);
  std::vector<std::uint64_t> out;
  while (WIFSTOPPED(status) && status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
    struct __ptrace_syscall_info info = {};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) out.push_back(info.entry.nr);
    ::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr);
    ::waitpid(pid, &status, 0);
  }
  if (!WIFSTOPPED(status)) return out;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, &status, 0);
  return out;
}

// Nothing of an image is looked at before, and the C library starts once (kernel/own_program_entry.cpp).
TEST_F(CommandTest, CVE_2019_5736_ReadOnlyViewComesFirst) {
  if (!kStaticPrograms) GTEST_SKIP() << "a sanitized bryo-oci begins anew in main";
  const std::vector<std::uint64_t> first = {SYS_statfs, SYS_open_tree, SYS_mount_setattr, SYS_execveat};
  for (const char* command : {"run", "create", "exec", "restore"})
    EXPECT_EQ(calls_before_exec({program_, "--root", scratch_ / "state", command, id_}), first) << command;
  EXPECT_THAT(calls_before_exec({program_, "--root", scratch_ / "state", "list"}), Not(Contains(SYS_execveat)));
}

}  // namespace
}  // namespace bryo::runtime::testing

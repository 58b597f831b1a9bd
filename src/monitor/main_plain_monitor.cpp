// A monitor for tests that need no root: its "plan" is a list of arguments, each ended by a zero byte, and a process is
// a plain fork and exec, without namespaces. Everything else is the real one.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "monitor/monitor_main.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {
namespace {

// Arguments of a plan; a first argument "tty" asks for a terminal.
struct PlainPlan {
  std::vector<std::string> arguments;
  bool terminal = false;

  explicit PlainPlan(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (const auto part : split(text, '\0'))
      if (!part.empty()) arguments.emplace_back(part);
    terminal = !arguments.empty() && arguments.front() == "tty";
    if (terminal) arguments.erase(arguments.begin());
    if (arguments.empty()) fail(ErrorKind::invalid_argument, "the plan names no program");
  }
};

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) < 0) fail_errno("pipe2");
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
};

class PlainLauncher final : public Launcher {
 public:
  pid_t begin(std::span<const std::byte> plan, std::vector<int>, const runtime::ChildStdio& stdio,
              const runtime::CgroupPlacement& cgroup, const runtime::LaunchHooks*) override {
    const PlainPlan parsed(plan);
    if (parsed.terminal) terminal_ = open_terminal();
    gate_.emplace();
    report_.emplace();
    pid_ = fork_child(parsed, stdio, terminal_.get(), cgroup, gate_->read.get(), report_->write.get());
    report_->write.reset();
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    return pid_;
  }
  void hand_listeners_to(runtime::ListenerHandler) override {}

  UniqueFd network_namespace() override { return kernel::open_trusted("/proc/self/ns/net", O_RDONLY); }
  void wait_created(const std::function<void()>& when_mounted) override {
    if (!when_mounted) return;
    try {
      when_mounted();
    } catch (const Error&) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      throw;
    }
  }
  UniqueFd take_terminal() override { return std::move(terminal_); }
  std::vector<std::string> warnings() override { return {}; }
  void start() override {
    gate_->write.reset();
    wait_for_exec(*report_, pid_);
  }
  int oom_score_adj() override { return 0; }
  int pidfd() override { return pidfd_.get(); }

  LaunchedExec exec(std::span<const std::byte> plan, const runtime::ChildStdio& stdio,
                    const runtime::CgroupPlacement& cgroup) override {
    const PlainPlan parsed(plan);
    LaunchedExec launched;
    if (parsed.terminal) launched.terminal = open_terminal();
    Pipe report;
    launched.pid = fork_child(parsed, stdio, launched.terminal.get(), cgroup, -1, report.write.get());
    report.write.reset();
    wait_for_exec(report, launched.pid);
    return launched;
  }

 private:
  static UniqueFd open_terminal() {
    UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master || ::grantpt(master.get()) < 0 || ::unlockpt(master.get()) < 0) fail_errno("open a terminal");
    return master;
  }

  pid_t fork_child(const PlainPlan& plan, const runtime::ChildStdio& stdio, int master,
                   const runtime::CgroupPlacement& cgroup, int gate, int report) const {
    const pid_t pid = ::fork();
    if (pid < 0) fail_errno("fork");
    if (pid != 0) return pid;
    for (const int procs : cgroup.procs)
      if (::write(procs, "0", 1) < 0) ::_exit(125);
    ::setsid();
    char byte = 0;
    if (gate >= 0) ::close(gate_->write.get());
    if (gate >= 0 && ::read(gate, &byte, 1) < 0) ::_exit(125);
    if (master >= 0) {
      const int slave = ::ioctl(master, TIOCGPTPEER, O_RDWR);
      ::ioctl(slave, TIOCSCTTY, 0);
      for (int fd = 0; fd < 3; ++fd) ::dup2(slave, fd);
    } else {
      ::dup2(stdio.in, 0);
      ::dup2(stdio.out, 1);
      ::dup2(stdio.err, 2);
    }
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    std::vector<char*> arguments;
    for (const auto& argument : plan.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    const int number = errno;
    static_cast<void>(::write(report, &number, sizeof number) < 0);
    ::_exit(127);
  }

  static void wait_for_exec(Pipe& report, pid_t pid) {
    int number = 0;
    if (::read(report.read.get(), &number, sizeof number) <= 0) return;
    ::waitpid(pid, nullptr, 0);
    throw Error::from_errno(number, "exec").with_exit_code(number == ENOENT ? 127 : 126);
  }

  std::optional<Pipe> gate_;
  std::optional<Pipe> report_;
  UniqueFd terminal_;
  UniqueFd pidfd_;
  pid_t pid_ = 0;
};

}  // namespace
}  // namespace bryo::monitor

int main() {
  if (::fcntl(bryo::monitor::kControlDescriptor, F_SETFD, FD_CLOEXEC) < 0) return 2;
  bryo::monitor::PlainLauncher launcher;
  return bryo::monitor::run_monitor(launcher);
}

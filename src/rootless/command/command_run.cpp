#include "rootless/command/command_run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/child_process.hpp"

namespace bryo::rootless::command {
namespace {

constexpr int kNotFound = 127;  // as POSIX shells say it
constexpr int kNotExecutable = 126;

void set_environment(const ChildStart& start, const std::string& uid, const std::string& gid) {
  ::setenv("ROOTLESSKIT_STATE_DIR", start.state.path().c_str(), 1);
  ::setenv("ROOTLESSKIT_PARENT_EUID", uid.c_str(), 1);
  ::setenv("ROOTLESSKIT_PARENT_EGID", gid.c_str(), 1);
}

// Sockets that systemd gave us are the command's (sd_listen_fds(3)): they are inherited, and it must find its own pid.
void hand_on_listeners(bool ours) {
  if (ours) ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
}

class Command {
 public:
  explicit Command(const ChildStart& start) : start_(start) {}

  int run();

 private:
  void launch();
  [[noreturn]] void become_command(pid_t parent, int failure);
  // True when the command has ended.
  bool reap();
  void forward(int number) const { ::kill(pid_, number); }
  void on_message();
  [[noreturn]] void end_all();

  const ChildStart& start_;
  UniqueFd signals_;
  pid_t pid_ = -1;
  int status_ = 0;
};

void Command::launch() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("make a pipe");
  const UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  const pid_t self = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) fail_errno("start the command (fork)");
  if (pid_ == 0) become_command(self, write.get());
  write.reset();
  int number = 0;
  if (::read(read.get(), &number, sizeof number) != sizeof number) return;
  const std::string& program = start_.options.command.front();
  if (number == ENOENT && program.find('/') == std::string::npos)
    throw Error(ErrorKind::not_found, fmt::format("run {}: there is no such program in PATH", printable(program)))
        .with_exit_code(kNotFound);
  throw Error::from_errno(number, "run " + printable(program))
      .with_exit_code(number == ENOENT ? kNotFound : kNotExecutable);
}

void Command::become_command(pid_t parent, int failure) {
  kernel::die_with_parent(parent, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &start_.original_mask, nullptr);
  hand_on_listeners(start_.owns_listeners);
  const int number = kernel::execute(start_.options.command);
  [[maybe_unused]] const ssize_t sent = ::write(failure, &number, sizeof number);
  ::_exit(kNotExecutable);
}

bool Command::reap() {
  // Without --reaper orphans stay as they are, for those who want to see them.
  const pid_t whom = start_.options.reaper || !start_.options.pidns ? -1 : pid_;
  while (true) {
    int status = 0;
    const pid_t ended = ::waitpid(whom, &status, WNOHANG);
    if (ended <= 0) return false;
    if (ended != pid_) continue;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
  }
}

void Command::on_message() {
  const auto message = start_.parent.receive();
  if (!message) end_all();
  if (message->word != "signal") return;
  if (const auto number = parse_integer<int>(message->text)) forward(*number);
}

void Command::end_all() {
  kernel::end_all_children(-1);
  start_.state.remove();
  ::_exit(1);
}

int Command::run() {
  set_environment(start_, std::to_string(start_.parent_uid), std::to_string(start_.parent_gid));
  kernel::adopt_orphans();
  std::vector<int> wanted = forwarded_signals();
  wanted.push_back(SIGCHLD);
  signals_ = kernel::read_signals(wanted, nullptr);
  launch();
  while (true) {
    std::array<pollfd, 2> ready{{{signals_.get(), POLLIN, 0}, {start_.parent.socket(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) fail_errno("poll");
    while (const ReceivedSignal signal = receive_signal(signals_.get())) {
      if (signal.number == SIGCHLD && reap()) return status_;
      if (signal.number != SIGCHLD && signal.from_process) forward(signal.number);
    }
    if (ready[1].revents != 0) on_message();
  }
}

}  // namespace

const std::vector<int>& forwarded_signals() {
  static const std::vector<int> kSignals = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH, SIGALRM};
  return kSignals;
}

ReceivedSignal receive_signal(int descriptor) {
  signalfd_siginfo info{};
  if (::read(descriptor, &info, sizeof info) != sizeof info) return {};
  return {static_cast<int>(info.ssi_signo), info.ssi_code <= 0};
}

int run_command(const ChildStart& start) {
  try {
    return Command(start).run();
  } catch (const Error& error) {
    std::fprintf(stderr, "bryo-rootless: %s\n", error.what());
    kernel::end_all_children(-1);
    return error.exit_code() != 0 ? error.exit_code() : 1;
  }
}

}  // namespace bryo::rootless::command

#include "runtime/command/foreground.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/error.hpp"

namespace bryo::runtime::command {
namespace {

// Everything but what faults in our own code raise.
sigset_t forwarded_signals() {
  sigset_t set;
  ::sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) ::sigdelset(&set, fault);
  return set;
}

class RawMode {
 public:
  RawMode() {
    if (::tcgetattr(0, &before_) != 0) return;
    struct termios raw = before_;
    ::cfmakeraw(&raw);
    changed_ = ::tcsetattr(0, TCSANOW, &raw) == 0;
  }
  ~RawMode() {
    if (changed_) ::tcsetattr(0, TCSANOW, &before_);
  }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  struct termios before_ = {};
  bool changed_ = false;
};

void copy_window_size(int terminal) {
  struct winsize size = {};
  if (::ioctl(0, TIOCGWINSZ, &size) == 0) ::ioctl(terminal, TIOCSWINSZ, &size);
}

// One block; false at the end of `from`.
bool relay(int from, int to) {
  char block[16384];
  const ssize_t size = ::read(from, block, sizeof block);
  if (size < 0) return errno == EINTR || errno == EAGAIN;
  for (ssize_t at = 0; at < size;) {
    const ssize_t written = ::write(to, block + at, static_cast<std::size_t>(size - at));
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) at += written;
  }
  return size > 0;
}

class Foreground {
 public:
  Foreground(pid_t pid, UniqueFd terminal) : pid_(pid), terminal_(std::move(terminal)) {
    const sigset_t set = forwarded_signals();
    signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) fail_errno("signalfd");
    if (terminal_) {
      raw_.emplace();
      copy_window_size(terminal_.get());
    }
  }

  int run() {
    // It may have ended before the signals were watched.
    reap();
    while (!status_ || terminal_) step();
    return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 128 + WTERMSIG(*status_);
  }

 private:
  void step() {
    struct pollfd waited[3] = {{signals_.get(), POLLIN, 0},
                               {terminal_ ? terminal_.get() : -1, POLLIN, 0},
                               {terminal_ && input_open_ ? 0 : -1, POLLIN, 0}};
    if (::poll(waited, 3, -1) < 0 && errno != EINTR) fail_errno("poll");
    if (waited[0].revents != 0) take_signals();
    if (waited[2].revents != 0) input_open_ = relay(0, terminal_.get());
    // EIO: every process has closed the slave.
    if (waited[1].revents != 0 && !relay(terminal_.get(), 1)) terminal_.reset();
  }

  void take_signals() {
    struct signalfd_siginfo info = {};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGCHLD)
        reap();
      else if (signal == SIGWINCH && terminal_)
        copy_window_size(terminal_.get());
      else if (!status_ && signal != SIGPIPE && signal != SIGURG)
        ::kill(pid_, signal);
    }
  }

  void reap() {
    int status = 0;
    pid_t ended = 0;
    // Orphans of the container's among them.
    while ((ended = ::waitpid(-1, &status, WNOHANG)) > 0)
      if (ended == pid_) status_ = status;
  }

  pid_t pid_;
  UniqueFd terminal_;
  UniqueFd signals_;
  std::optional<RawMode> raw_;
  std::optional<int> status_;
  bool input_open_ = true;
};

}  // namespace

void block_forwarded_signals() {
  const sigset_t set = forwarded_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

int attend(pid_t pid, UniqueFd terminal) { return Foreground(pid, std::move(terminal)).run(); }

}  // namespace bryo::runtime::command

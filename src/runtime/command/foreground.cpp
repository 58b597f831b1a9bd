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
#include <chrono>
#include <optional>
#include <string>

#include "base/error.hpp"

namespace bryo::runtime::command {
namespace {

using Clock = std::chrono::steady_clock;

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

// What a terminal holds when its last process has gone comes at once; what keeps it open longer is not waited for.
constexpr std::chrono::milliseconds kQuiet{100};
constexpr std::chrono::seconds kGrace{2};

// All of it, whatever the caller has made of its standard output; false when nobody reads it any more.
bool put_out(const char* bytes, std::size_t size) {
  for (std::size_t at = 0; at < size;) {
    const ssize_t written = ::write(1, bytes + at, size - at);
    if (written >= 0) {
      at += static_cast<std::size_t>(written);
      continue;
    }
    struct pollfd room = {1, POLLOUT, 0};
    if (errno == EAGAIN)
      ::poll(&room, 1, -1);
    else if (errno != EINTR)
      return false;
  }
  return true;
}

class Foreground {
 public:
  Foreground(pid_t pid, UniqueFd terminal) : pid_(pid), terminal_(std::move(terminal)) {
    const sigset_t set = forwarded_signals();
    signals_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) fail_errno("signalfd");
    if (terminal_) {
      // A program that waits for its output to be taken must not wait for us to get rid of its input.
      if (::fcntl(terminal_.get(), F_SETFL, O_NONBLOCK) != 0) fail_errno("make the terminal non-blocking");
      raw_.emplace();
      copy_window_size(terminal_.get());
    }
  }

  int run() {
    // It may have ended before the signals were watched.
    reap();
    while (!status_) step(-1);
    const auto end = Clock::now() + kGrace;
    while (terminal_ && step(kQuiet.count()) && Clock::now() < end) {
    }
    return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 128 + WTERMSIG(*status_);
  }

 private:
  // False when nothing has happened in this time.
  bool step(long long patience) {
    const bool reading = terminal_ && input_open_ && input_.empty();
    const auto wanted = static_cast<short>(input_.empty() ? POLLIN : POLLIN | POLLOUT);
    struct pollfd waited[3] = {
        {signals_.get(), POLLIN, 0}, {terminal_ ? terminal_.get() : -1, wanted, 0}, {reading ? 0 : -1, POLLIN, 0}};
    const int ready = ::poll(waited, 3, static_cast<int>(patience));
    if (ready < 0 && errno != EINTR) fail_errno("poll");
    if (waited[0].revents != 0) take_signals();
    if (waited[2].revents != 0) read_input();
    if ((waited[1].revents & POLLOUT) != 0) write_input();
    if ((waited[1].revents & ~POLLOUT) != 0 && !relay_output()) terminal_.reset();
    return ready != 0;
  }

  void read_input() {
    char block[4096];
    const ssize_t size = ::read(0, block, sizeof block);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
    input_open_ = size > 0;
    if (size <= 0) return;
    input_.assign(block, static_cast<std::size_t>(size));
    write_input();
  }

  void write_input() {
    const ssize_t written = ::write(terminal_.get(), input_.data(), input_.size());
    if (written > 0) input_.erase(0, static_cast<std::size_t>(written));
    if (written >= 0 || errno == EAGAIN || errno == EINTR) return;
    input_.clear();
    input_open_ = false;
  }

  // EIO: every process has closed the slave.
  bool relay_output() {
    char block[16384];
    const ssize_t size = ::read(terminal_.get(), block, sizeof block);
    if (size < 0) return errno == EINTR || errno == EAGAIN;
    return size > 0 && put_out(block, static_cast<std::size_t>(size));
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
  std::string input_;  // what the terminal has not taken yet
};

}  // namespace

void block_forwarded_signals() {
  const sigset_t set = forwarded_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

int attend(pid_t pid, UniqueFd terminal) { return Foreground(pid, std::move(terminal)).run(); }

}  // namespace bryo::runtime::command

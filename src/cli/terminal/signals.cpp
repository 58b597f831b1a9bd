#include "cli/terminal/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cstring>

#include "base/error.hpp"

namespace bryo::cli {

SignalQueue::SignalQueue(std::initializer_list<int> signals) {
  sigset_t set{};
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, &previous_) != 0) fail_errno("block signals");
  fd_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_) fail_errno("watch signals");
}

SignalQueue::~SignalQueue() { ::sigprocmask(SIG_SETMASK, &previous_, nullptr); }

std::optional<int> SignalQueue::next() {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name == nullptr ? std::to_string(signal) : name;
}

}  // namespace bryo::cli

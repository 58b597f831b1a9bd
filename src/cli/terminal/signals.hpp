// Signals as a descriptor: what arrives while a container runs in the foreground is read in the same loop as its
// streams.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>
#include <string>

#include "base/unique_fd.hpp"

namespace bryo::cli {

// Blocks the signals from construction to destruction and queues them. One at a time in the process.
class SignalQueue {
 public:
  explicit SignalQueue(std::initializer_list<int> signals);
  SignalQueue(const SignalQueue&) = delete;
  SignalQueue& operator=(const SignalQueue&) = delete;
  ~SignalQueue();
  int fd() const { return fd_.get(); }
  // nullopt when none waits.
  std::optional<int> next();

 private:
  sigset_t previous_{};
  UniqueFd fd_;
};

// What --sig-proxy passes on. Ours alone stay SIGCHLD, SIGPIPE and the window size.
inline constexpr std::initializer_list<int> kProxiedSignals = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                                               SIGUSR2, SIGALRM, SIGCONT, SIGTSTP, SIGWINCH};
// "INT" for SIGINT: the name that the API takes.
std::string signal_name(int signal);

}  // namespace bryo::cli

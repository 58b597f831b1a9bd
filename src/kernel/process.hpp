// One process, told apart from all that had its number before.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

struct ProcessStat {
  char state = '?';              // 'R', 'S', 'Z', 'X' … of proc(5)
  std::uint64_t start_time = 0;  // clock ticks since boot; with the pid it names one process for ever
  // Whether it has begun a program since it was forked.
  bool executed = true;
  bool operator==(const ProcessStat&) const = default;
};

// nullopt when there is no such process.
std::optional<ProcessStat> process_stat(pid_t pid);

// Its number in the pid namespace that it lives in, not ours: 1 for the first of a new one. `pid` itself when it is
// gone.
pid_t innermost_pid(pid_t pid);

// A pidfd of the process that has this number and start time; empty when it is gone.
UniqueFd open_process(pid_t pid, std::uint64_t start_time);

// The number of the process behind a pidfd; nullopt when it is gone, or invisible from our pid namespace.
std::optional<pid_t> number_of(int pidfd);
// False when it is gone already. Other failures throw.
bool send_signal(int pidfd, int signal);

}  // namespace bryo::kernel

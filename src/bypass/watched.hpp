// Whether somebody waits for a socket through epoll(7) before it is connected: such a wait is for the open file, not
// for the number, and would be lost when another socket takes the number over. One thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::bypass {

// The threads of one container that have called, as far as they are remembered.
class Callers {
 public:
  // A copy of a caller's descriptor; empty when there is none.
  UniqueFd copy_descriptor(pid_t thread, int number);
  // The O_ flags of the descriptor that copy_descriptor() has just copied; nullopt when there is none any more.
  std::optional<int> descriptor_flags(pid_t thread, int number);
  // Whether any epoll of the caller may watch it.
  bool watched(pid_t thread, int number);
  // Somewhere in the container an epoll is being made.
  void epoll_made();
  void forget();

 private:
  using Clock = std::chrono::steady_clock;
  struct Caller {
    UniqueFd process;
    UniqueFd facts;  // of its descriptors; opened when needed
    std::vector<int> epolls;
    std::uint64_t looked_at = 0;  // generation; 0: never
    Clock::time_point when{};
  };

  Caller* find(pid_t thread);
  void look(pid_t thread, Caller& caller);

  std::map<pid_t, std::unique_ptr<Caller>> callers_;
  std::uint64_t generation_ = 1;
  Clock::time_point last_made_{};
};

}  // namespace bryo::bypass

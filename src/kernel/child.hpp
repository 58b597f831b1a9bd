// Work that cannot be taken back (entering namespaces, filters) is tried in a child process, which takes it along when
// it ends. Only for programs with one thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace bryo::kernel {

struct ChildFailure {
  int number = 0;  // errno of the system call that failed, 0 when there was none
  std::string message;
};

// Runs `work` in a child and waits for its end. What it throws is the answer; nullopt: it went well. A child that was
// killed, or that did not end within `limit` (it is killed then), is a failure too. Throws Error when no child can be
// made.
std::optional<ChildFailure> try_in_child(const std::function<void()>& work, std::chrono::milliseconds limit);

}  // namespace bryo::kernel

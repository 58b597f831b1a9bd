// A network namespace in the making.
#pragma once

#include <sched.h>

#include <exception>
#include <thread>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// Makes a new network namespace (network_namespaces(7)) in a thread of its own while its owner does other things: on
// Linux 6.18 it is a fifth of what a container's start costs the kernel. It belongs to the caller's user namespace,
// nobody is in it, and its loopback interface is up.
class NetnsMaker {
 public:
  // The thread runs on `processors` (idle_processors(): on that of its owner it would save no time). It closes
  // `slow_to_close`, too (the last descriptor of a detached mount: whoever closes it waits for an RCU grace period).
  // Error when there can be no thread.
  explicit NetnsMaker(const cpu_set_t& processors, UniqueFd slow_to_close = {});
  // Waits for the thread.
  ~NetnsMaker();
  NetnsMaker(const NetnsMaker&) = delete;
  NetnsMaker& operator=(const NetnsMaker&) = delete;

  // Waits until it is made; the descriptor belongs to the caller, who asks once. Throws the Error of the making. The
  // thread is gone afterwards.
  UniqueFd take();

 private:
  void make();

  UniqueFd slow_to_close_;
  UniqueFd made_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace bryo::kernel

// Why does moving a process into a v1 cgroup take milliseconds now and then? The first move after a quiet moment waits
// for an RCU grace period (4 to 16 ms measured, 0.02 ms for those that follow at once), and every container start moves
// its first process. The kernel's mount option "favordynmods" (Linux 6.0) ends the wait; it acts on all hierarchies,
// whichever carries it.
//
// An object of this class holds an empty hierarchy of its own with that option, mounted nowhere (name=bryo in
// /proc/PID/cgroup): the mounts of the host stay as they are, and the kernel forgets it when the object or the process
// is gone. Since Linux 6.18 the lock that makes it possible stays finer until the next boot.
#pragma once

#include "base/unique_fd.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::kernel {

class FastCgroupMoves {
 public:
  // Does nothing on v2 alone, where processes are born in their cgroup, nor where the kernel or our rights forbid it.
  explicit FastCgroupMoves(const CgroupLayout& layout);
  bool active() const { return static_cast<bool>(mount_); }

 private:
  UniqueFd mount_;
};

}  // namespace bryo::kernel

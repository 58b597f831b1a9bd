// The processes of a container that has no cgroup, found in /proc: who they are and what they use. A snapshot:
// processes come and go while it is taken. Linux' proc(5), pid_namespaces(7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace bryo::kernel {

// Of the first process of a pid namespace: everyone in it and in those below it. Of another one, which shares
// somebody's namespace: itself and what descends from it. Ascending; empty when it is gone.
std::vector<pid_t> processes_around(pid_t first);
// Children and their children, without itself.
std::vector<pid_t> descendants_of(pid_t ancestor);
// SIGKILL to all descendants of the calling process, which adopts orphans (PR_SET_CHILD_SUBREAPER), until no new ones
// come up. It reaps none of them.
void kill_descendants();

struct ProcessUsage {
  std::uint64_t user_time = 0;    // nanoseconds, with those of children that were waited for
  std::uint64_t system_time = 0;  // the same
  std::uint64_t memory = 0;       // bytes: shared pages by share, where the kernel tells
  std::uint64_t threads = 0;
  std::uint64_t read_bytes = 0;  // from block devices, where the kernel tells
  std::uint64_t written_bytes = 0;
};

// The sum; who is gone counts nothing.
ProcessUsage usage_of(const std::vector<pid_t>& processes);

}  // namespace bryo::kernel

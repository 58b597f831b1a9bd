// Children of a process with one thread: born with namespaces of their own, bound to their parent's life, ended all
// together. Not for the engine, which never clones.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

struct ChildProcess {
  pid_t pid = 0;     // 0: we are the child
  UniqueFd process;  // pidfd; empty in the child
};

// As fork(2), with these new namespaces (CLONE_NEWUSER, CLONE_NEWPID …). Both sides go on behind the call.
ChildProcess clone_process(std::uint64_t namespaces);
// The calling process gets new namespaces of these kinds (unshare(2)).
void unshare_namespaces(std::uint64_t namespaces);
// The calling process moves into the user namespace of another; it is root there and has every capability.
void join_user_namespace(int namespace_fd);
// In a user namespace that has maps: uid and gid 0, no supplementary groups.
void become_namespace_zero();
// Others of the same user may look into /proc/PID/ns of this process, although it has changed its ids.
void allow_inspection();

// Children whose parent has ended become children of this process (PR_SET_CHILD_SUBREAPER, prctl(2)).
void adopt_orphans();
// This process gets `signal` when its parent ends; at once when that is not `parent` any more.
void die_with_parent(pid_t parent, int signal);
// Kills the calling process's children and theirs, and waits for their end. `spared`: this one stays.
void end_all_children(pid_t spared);

// Executes a program found in PATH, with the calling process's environment. Returns errno.
int execute(const std::vector<std::string>& words);

// Blocks the signals and makes them readable; `before` gets the mask that was.
UniqueFd read_signals(const std::vector<int>& signals, sigset_t* before);

}  // namespace bryo::kernel

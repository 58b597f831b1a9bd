// A container or process in the foreground: its terminal or descriptors are the caller's, its signals and exit status
// too.
#pragma once

#include <sys/types.h>

#include "base/unique_fd.hpp"

namespace bryo::runtime::command {

// Signals that the foreground forwards are blocked from here on: call before the child is cloned (it unblocks them).
void block_forwarded_signals();

// A container without a pid namespace of its own leaves its orphans to us (PR_SET_CHILD_SUBREAPER): call before it is
// started.
void adopt_orphans();

// Relays between standard input/output and the terminal (if there is one), forwards signals, and returns the exit
// status (128 + signal) when the process, a child of ours, has ended.
int attend(pid_t pid, UniqueFd terminal);

}  // namespace bryo::runtime::command

// What another process has mounted, as a detached clone: open_tree(2) refuses mounts of a mount namespace that is not
// the caller's, so a short-lived child goes there with setns(2), clones, and leaves the descriptor behind.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// `path` is absolute in the mount namespace of `process` and is resolved there: no link leads to anything that the
// process could not name itself, and no magic link (/proc/PID/fd …) is followed. Needs CAP_SYS_ADMIN over that
// namespace. The caller's own root and directories do not change; may be called from any thread.
UniqueFd clone_tree_of(pid_t process, const std::string& path, bool recursive);

}  // namespace bryo::kernel

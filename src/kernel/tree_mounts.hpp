// Mounts in the calling process's own mount namespace, below paths that its user names: copies of directory trees,
// fresh file systems, one over the other. Errors name call and path. See open_tree(2), move_mount(2).
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// A detached mount of what is at this path, with the mounts below it when `recursive`. Follows links.
UniqueFd clone_tree(const std::string& path, bool recursive);
// Attaches a detached mount there, over what is there. Follows links.
void attach_tree(int mount, const std::string& path);
// Takes the topmost mount away from there, with all below it.
void detach_tree(const std::string& path);
// Absolute paths of the mounts below this directory, those nearer to the root first; not the directory itself.
std::vector<std::string> mounts_below(const std::string& directory);

}  // namespace bryo::kernel

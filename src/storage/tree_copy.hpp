// Copies a directory tree by descriptors: what a volume gets from its image, what the vfs driver makes of layers. Links
// are copied, not followed; sockets are left out; hard links within the tree stay hard links. The target may be in use
// by somebody hostile: nothing outside of it is written. One thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>

#include "kernel/paths.hpp"
#include "storage/merged_directory.hpp"

namespace bryo::storage {

struct CopyRules {
  // Owner of the copy, from the owner that the original shows.
  std::function<kernel::Owner(const struct stat&)> owner;
  // Whose the capabilities of files are (file_capability.hpp).
  std::uint32_t root = 0;
};

// Everything in the directory `from` into the directory `to`, and the attributes of `from` itself onto `to`.
void copy_tree(int from, int to, const CopyRules& rules);
void copy_merged(const MergedDirectory& from, int to, const CopyRules& rules);

}  // namespace bryo::storage

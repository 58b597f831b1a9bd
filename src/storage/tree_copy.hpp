// Copies a directory tree by descriptors: what a volume gets from its image. Links are copied, not followed; sockets
// are left out; hard links within the tree stay hard links. One thread.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "kernel/paths.hpp"

namespace bryo::storage {

// Owner on disk of the copy, from the owner that `from` shows.
using OwnerOf = std::function<kernel::Owner(const struct stat&)>;

// Everything in the directory `from` into the directory `to`, and the attributes of `from` itself onto `to`.
void copy_tree(int from, int to, const OwnerOf& owner);

}  // namespace bryo::storage

// Owner, mode, attributes and times of one file for another.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string_view>

#include "kernel/paths.hpp"

namespace bryo::storage {

// Also attributes (security.capability, user.*; not overlayfs's) and times. Any descriptors, also O_PATH.
void copy_attributes(int from, const struct stat& info, int to);
// With another owner, and capabilities of another root (file_capability.hpp).
void copy_attributes(int from, const struct stat& info, const kernel::Owner& owner, std::uint32_t root, int to);
// "security.capability" and "user.*": what Docker keeps.
bool is_kept_xattr(std::string_view name);

}  // namespace bryo::storage

// Paths inside the container's root for the child: the answer is always a descriptor (O_PATH), found by openat2 below
// the root, never a name that is looked up twice (design/security.md D1). Nothing throws; results are fd or -errno.
#pragma once

#include <cstdint>

namespace bryo::runtime::child {

enum class Links {
  follow,  // as a process chrooted into the root would; magic links never (CVE-2024-21626)
  refuse,  // ELOOP for any link on the way (CVE-2019-19921, CVE-2026-41579)
};

// O_PATH descriptor of `path` below `root`. `flags` may add O_DIRECTORY, O_NOFOLLOW.
int open_path(int root, const char* path, Links links, std::uint64_t flags = 0) noexcept;

// The same, but what is missing is made: directories (0755), and the last component as a directory or an empty file.
// Dangling links are followed inside the root and their targets made (an image's /etc/resolv.conf → ../run/x). Every
// component is made and opened on the descriptor of the one before it (CVE-2024-45310, CVE-2026-55686).
int make_path(int root, const char* path, Links links, bool directory, std::uint32_t mode = 0755) noexcept;

}  // namespace bryo::runtime::child

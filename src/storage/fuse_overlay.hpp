// Layers merged by the program fuse-overlayfs, where the kernel's own overlay does not work (before Linux 5.11 for a
// user namespace; on file systems whose files it cannot use).
//
//   engine                                   fuse-overlayfs (session of its own, child of init)
//     │ open /dev/fuse ──▶ mount (fsmount, fuse(4): fd, rootmode, user_id, group_id)
//     │ start, /dev/fuse as descriptor 3 ──────▶ │ opens the layers, answers INIT
//     │ ◀──────── its first process ends: 0 ──── │ serves
//     ▼
//   a detached mount: attached nowhere until a container's launcher attaches it inside that container's namespace
//
// The program lives exactly as long as its mount: when the last mount namespace and the last descriptor that hold it
// are gone, reading /dev/fuse fails with ENODEV and it ends, also after kill -9 of the engine. When the program dies
// first, whoever uses the mount gets ENOTCONN. Neither a process nor a mount is left over.
//
// Any thread. Needs to own the mount namespace's user namespace (Linux 4.18).
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::storage {

// Absolute paths of the engine's own.
struct FuseOverlayLayers {
  std::vector<std::string> lower;  // top first
  std::string upper;               // both empty: only to be read
  std::string work;
};

// Path of the program; "" when it is not installed.
std::string fuse_overlayfs_program();
// Error{unavailable} with what the program said when it does not start, Error{invalid_argument} for paths that its
// options cannot hold (a comma, a colon, a backslash).
UniqueFd mount_fuse_overlay(const std::string& program, const FuseOverlayLayers& layers);

}  // namespace bryo::storage

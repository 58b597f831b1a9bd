// Detached mounts of the new mount API (fsopen(2), open_tree(2), mount_setattr(2)): everything is built where nobody
// can see it and attached by descriptor at the end. Errors carry the call, its subject and what the file system wrote
// into its log. For single-threaded launchers; overlay_mount may change the mount namespace for a moment.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// MOUNT_ATTR_* to set and clear, and MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0.
void change_mount(int mount, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive,
                  const std::string& subject);

// A file system being configured: fsopen, fsconfig…, fsmount.
class NewFilesystem {
 public:
  explicit NewFilesystem(const std::string& type);
  // "key" or "key=value"; values of up to 255 bytes before some file systems.
  void option(const std::string& text);
  void option(const std::string& key, const std::string& value);
  // A detached mount with these MOUNT_ATTR_*.
  UniqueFd mount(std::uint64_t attributes);

 private:
  [[noreturn]] void failed(int error, const std::string& what);
  std::string type_;
  UniqueFd context_;
};

struct OverlayLayers {
  // Top first. Below `parent` when that is given (a directory, perhaps of a detached mount), else absolute.
  std::vector<std::string> lower;
  int parent = -1;
  // One more layer on top of `lower`, absolute: an upper directory that is only to be read.
  std::string above;
  std::string upper;  // both empty: read-only
  std::string work;
  std::vector<std::string> options;
};

// How the layers get into the kernel; `automatic` tries the first and falls back. The second is for kernels whose
// overlay refuses detached lower layers (before 6.15) or has no lowerdir+ (before 6.7): the layers are attached in a
// mount namespace of their own that is gone afterwards.
enum class OverlayMethod { automatic, detached, private_namespace };

// A detached overlay mount.
UniqueFd overlay_mount(const OverlayLayers& layers, OverlayMethod method = OverlayMethod::automatic);

}  // namespace bryo::kernel

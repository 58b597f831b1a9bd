#include <fcntl.h>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "storage/fuse_overlay.hpp"
#include "storage/snapshot_drivers.hpp"

namespace bryo::storage {

FuseOverlayDriver::FuseOverlayDriver(DataRoot& root, DocumentStore& documents, LayerStore& layers)
    : OverlayDriver("fuse-overlayfs", root, documents, layers), program_(fuse_overlayfs_program()) {
  if (program_.empty())
    fail(ErrorKind::unsupported,
         "storage driver fuse-overlayfs: the program fuse-overlayfs is not installed (apt-get install fuse-overlayfs)");
  try_out();
}

std::vector<std::pair<std::string, std::string>> FuseOverlayDriver::status() const {
  return {{"Backing Filesystem", backing_filesystem()},
          {"Supports d_type", "true"},
          {"Native Overlay Diff", "false"},
          {"Program", program_}};
}

UniqueFd FuseOverlayDriver::mount(const RootfsDescription& rootfs, bool with_upper) const {
  FuseOverlayLayers layers;
  if (with_upper) {
    layers.upper = rootfs.upper;
    layers.work = rootfs.work;
  } else {
    layers.lower.push_back(rootfs.upper);
  }
  for (const std::string& name : rootfs.lower) layers.lower.push_back(rootfs.layers_directory + "/" + name);
  return mount_fuse_overlay(program_, layers);
}

}  // namespace bryo::storage

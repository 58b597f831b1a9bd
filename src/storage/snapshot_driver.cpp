#include "storage/snapshot_driver.hpp"

#include <fcntl.h>

#include <set>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/user_namespace.hpp"
#include "storage/snapshot_drivers.hpp"

namespace bryo::storage {
namespace {

constexpr int kMaxDepth = 512;

void count_bytes(int directory, std::set<std::pair<dev_t, ino_t>>& seen, int depth, std::uint64_t& total) {
  for (const auto& entry : kernel::read_directory(directory)) {
    const auto info = kernel::try_stat_at(directory, entry.name);
    if (!info) continue;
    if (S_ISREG(info->st_mode) && (info->st_nlink == 1 || seen.emplace(info->st_dev, info->st_ino).second))
      total += static_cast<std::uint64_t>(info->st_size);
    if (!S_ISDIR(info->st_mode) || depth >= kMaxDepth) continue;
    const UniqueFd below(::openat(directory, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below) count_bytes(below.get(), seen, depth + 1, total);
  }
}

std::unique_ptr<SnapshotDriver> best_driver(DataRoot& root, DocumentStore& documents, LayerStore& layers) {
  std::string reasons;
  try {
    return std::make_unique<OverlayDriver>(root, documents, layers);
  } catch (const Error& error) {
    reasons = error.message();
  }
  if (!kernel::in_initial_user_namespace()) {
    try {
      auto driver = std::make_unique<FuseOverlayDriver>(root, documents, layers);
      log::info("storage driver fuse-overlayfs is used: {}", reasons);
      return driver;
    } catch (const Error& error) {
      reasons += fmt::format("; {}", error.message());
    }
  }
  log::warning("storage driver vfs, which copies whole images, is used: {}", reasons);
  return std::make_unique<VfsDriver>(root, documents, layers);
}

}  // namespace

UniqueFd SnapshotDriver::mount_root(const SnapshotName&) const { return {}; }

std::vector<std::string> layers_below(LayerStore& layers, const std::optional<Digest>& top) {
  std::vector<std::string> names = {layers.init_layer(top)};
  if (top)
    for (const LayerInfo& layer : layers.chain(*top)) names.push_back(layer.chain.hex());
  return names;
}

struct stat image_root_stat(LayerStore& layers, const std::optional<Digest>& top) {
  if (top)
    for (const LayerInfo& layer : layers.chain(*top))
      if (layer.has_root_entry) return kernel::stat_at(AT_FDCWD, layers.path_of(layer.chain));
  struct stat info {};
  info.st_mode = S_IFDIR | 0755;
  return info;
}

std::uint64_t tree_bytes(int directory) {
  std::set<std::pair<dev_t, ino_t>> seen;
  std::uint64_t total = 0;
  count_bytes(directory, seen, 0, total);
  return total;
}

std::unique_ptr<SnapshotDriver> make_snapshot_driver(std::string_view name, DataRoot& root, DocumentStore& documents,
                                                     LayerStore& layers) {
  if (name == "vfs") return std::make_unique<VfsDriver>(root, documents, layers);
  if (name == "fuse-overlayfs") return std::make_unique<FuseOverlayDriver>(root, documents, layers);
  if (name == "overlay2" || name == "overlay") return std::make_unique<OverlayDriver>(root, documents, layers);
  if (!name.empty())
    fail(ErrorKind::unsupported, "storage driver {} is not known: choose overlay2, fuse-overlayfs or vfs",
         printable(name));
  return best_driver(root, documents, layers);
}

}  // namespace bryo::storage

#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/idmap.hpp"
#include "storage/detached_view.hpp"
#include "storage/snapshot_drivers.hpp"
#include "storage/tree_changes.hpp"
#include "storage/tree_copy.hpp"

namespace bryo::storage {
namespace {

MergedDirectory open_below(LayerStore& layers, const std::optional<Digest>& top) {
  std::vector<std::string> below = layers_below(layers, top);
  for (auto& layer : below) layer = layers.directory() + "/" + layer;
  return MergedDirectory::open(below);
}

}  // namespace

VfsDriver::VfsDriver(DataRoot& root, DocumentStore& documents, LayerStore& layers)
    : root_(root), layers_(layers), table_("vfs", root, documents) {
  table_.remake_missing(
      [this](const SnapshotRecord& record, const std::string& temporary) { fill(record, temporary); });
}

std::vector<std::pair<std::string, std::string>> VfsDriver::status() const {
  return {{"Backing Filesystem", root_.backing_filesystem()}};
}

void VfsDriver::prepare(const SnapshotName& name, const std::optional<Digest>& top, const ids::IdMaps& maps) {
  const SnapshotRecord record{"vfs", top, maps};
  table_.add(name, record, [&](const std::string& temporary) { fill(record, temporary); });
}

void VfsDriver::fill(const SnapshotRecord& record, const std::string& temporary) const {
  const MergedDirectory image = open_below(layers_, record.top);
  const struct stat root = image_root_stat(layers_, record.top);
  const IdShift shift(record.maps);
  const UniqueFd directory = kernel::open_at(root_.fd(), temporary, O_RDONLY | O_DIRECTORY);
  kernel::make_directory(directory.get(), "root", 0700);
  const UniqueFd into = kernel::open_at(directory.get(), "root", O_RDONLY | O_DIRECTORY);
  const CopyRules rules{[&](const struct stat& info) { return shift.to_disk(info.st_uid, info.st_gid); },
                        shift.to_disk(0, 0).uid};
  copy_merged(image, into.get(), rules);
  const kernel::Owner owner = shift.to_disk(root.st_uid, root.st_gid);
  kernel::change_owner(into.get(), owner.uid, owner.gid);
  kernel::change_mode(into.get(), root.st_mode & 07777U);
}

RootfsDescription VfsDriver::describe(const SnapshotName& name) const {
  const SnapshotRecord record = table_.get(name);
  RootfsDescription rootfs;
  rootfs.driver = "vfs";
  rootfs.directory = table_.path_of(name) + "/root";
  rootfs.maps = record.maps;
  return rootfs;
}

UniqueFd VfsDriver::mount_view(const SnapshotName& name, bool read_only, std::vector<ViewMount> extra) const {
  const std::string path = describe(name).directory;
  ViewRequest request;
  request.make = [&] { return kernel::clone_tree(AT_FDCWD, path, false); };
  request.extra = &extra;
  request.read_only = read_only;
  request.make_destinations = true;
  return make_detached_view(request);
}

std::vector<PathChange> VfsDriver::changes(const SnapshotName& name) const {
  const SnapshotRecord record = table_.get(name);
  const UniqueFd top = kernel::open_trusted(describe(name).directory, O_PATH | O_DIRECTORY);
  return list_changes(top.get(), open_below(layers_, record.top), IdShift(record.maps), ChangesForm::copy);
}

void VfsDriver::export_diff(const SnapshotName& name, ByteSink& sink) const {
  const SnapshotRecord record = table_.get(name);
  const UniqueFd top = kernel::open_trusted(describe(name).directory, O_PATH | O_DIRECTORY);
  pack_changes(top.get(), open_below(layers_, record.top), IdShift(record.maps), ChangesForm::copy, sink);
}

SnapshotUsage VfsDriver::usage(const SnapshotName& name) const {
  const SnapshotRecord record = table_.get(name);
  SnapshotUsage usage;
  const UniqueFd top = kernel::open_trusted(describe(name).directory, O_PATH | O_DIRECTORY);
  usage.virtual_bytes = tree_bytes(top.get());
  for_each_change(top.get(), open_below(layers_, record.top), IdShift(record.maps), ChangesForm::copy,
                  [&](const TreeChange& change) {
                    const auto info = kernel::try_stat_at(change.directory, change.name);
                    if (info && S_ISREG(info->st_mode))
                      usage.writable_bytes += static_cast<std::uint64_t>(info->st_size);
                  });
  return usage;
}

}  // namespace bryo::storage

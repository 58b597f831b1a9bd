// The drivers behind make_snapshot_driver, for it and for tests.
#pragma once

#include "kernel/idmap.hpp"
#include "storage/shifted_images.hpp"
#include "storage/snapshot_driver.hpp"
#include "storage/snapshot_table.hpp"
#include "storage/tree_changes.hpp"

namespace bryo::storage {

// "diff" of all: what lies below a container's own files, top first: the init layer, then the image's.
std::vector<std::string> layers_below(LayerStore& layers, const std::optional<Digest>& top);
// Owner and mode of "/" in an image: of the topmost layer that says so, else root's and 0755.
struct stat image_root_stat(LayerStore& layers, const std::optional<Digest>& top);
// Bytes in regular files below an open directory, hard links once.
std::uint64_t tree_bytes(int directory);

class OverlayDriver : public SnapshotDriver {
 public:
  // Error{unsupported} when this kernel or the data root's file system cannot.
  OverlayDriver(DataRoot& root, DocumentStore& documents, LayerStore& layers);

  std::string_view name() const override { return name_; }
  std::vector<std::pair<std::string, std::string>> status() const override;
  void prepare(const SnapshotName& name, const std::optional<Digest>& top, const ids::IdMaps& maps) override;
  bool exists(const SnapshotName& name) const override { return table_.exists(name); }
  RootfsDescription describe(const SnapshotName& name) const override;
  UniqueFd mount_view(const SnapshotName& name, bool read_only, std::vector<ViewMount> extra) const override;
  std::vector<PathChange> changes(const SnapshotName& name) const override;
  void export_diff(const SnapshotName& name, ByteSink& sink) const override;
  SnapshotUsage usage(const SnapshotName& name) const override;
  void remove(const SnapshotName& name) override;
  std::vector<Listed> list() const override { return table_.list(); }

 protected:
  // For another way to mount the same layers, which cannot idmap them. The caller tries it out.
  OverlayDriver(std::string name, DataRoot& root, DocumentStore& documents, LayerStore& layers);
  // Mounts one on this very file system. Error{unsupported} says why it does not work there.
  void try_out();
  std::string backing_filesystem() const { return root_.backing_filesystem(); }
  // Detached. Without the upper directory: it is one more layer, and nothing can be written.
  virtual UniqueFd mount(const RootfsDescription& rootfs, bool with_upper) const;

 private:
  void use_copies();
  void remake_missing();
  void fill(const SnapshotRecord& record, const std::string& temporary);
  bool needs_copy(const ids::IdMaps& maps) const { return !idmaps_ && !maps.keeps_ids(); }
  void collect_copies();

  const std::string name_;
  DataRoot& root_;
  LayerStore& layers_;
  SnapshotTable table_;
  const std::vector<std::string> options_;
  const ChangesForm form_;
  const bool idmaps_;  // lower layers can be idmapped; else they are copied
  std::unique_ptr<ShiftedImages> shifted_;
  mutable kernel::UserNamespaces namespaces_;
};

// The same layers and directories, merged by fuse-overlayfs: one process for every mount, which ends with it
// (fuse_overlay.hpp). Its upper directories may hold files as whiteouts, so the two drivers do not take each other's.
class FuseOverlayDriver final : public OverlayDriver {
 public:
  // Error{unsupported} when the program is not installed or cannot be used.
  FuseOverlayDriver(DataRoot& root, DocumentStore& documents, LayerStore& layers);

  std::vector<std::pair<std::string, std::string>> status() const override;
  UniqueFd mount_root(const SnapshotName& name) const override { return mount(describe(name), true); }

 private:
  UniqueFd mount(const RootfsDescription& rootfs, bool with_upper) const override;

  const std::string program_;
};

class VfsDriver final : public SnapshotDriver {
 public:
  VfsDriver(DataRoot& root, DocumentStore& documents, LayerStore& layers);

  std::string_view name() const override { return "vfs"; }
  std::vector<std::pair<std::string, std::string>> status() const override;
  void prepare(const SnapshotName& name, const std::optional<Digest>& top, const ids::IdMaps& maps) override;
  bool exists(const SnapshotName& name) const override { return table_.exists(name); }
  RootfsDescription describe(const SnapshotName& name) const override;
  UniqueFd mount_view(const SnapshotName& name, bool read_only, std::vector<ViewMount> extra) const override;
  std::vector<PathChange> changes(const SnapshotName& name) const override;
  void export_diff(const SnapshotName& name, ByteSink& sink) const override;
  SnapshotUsage usage(const SnapshotName& name) const override;
  void remove(const SnapshotName& name) override { table_.remove(name); }
  std::vector<Listed> list() const override { return table_.list(); }

 private:
  void fill(const SnapshotRecord& record, const std::string& temporary) const;
  DataRoot& root_;
  LayerStore& layers_;
  SnapshotTable table_;
};

}  // namespace bryo::storage

// The writable file system of a container: layers below, its own changes on top.
//
// Three drivers stand behind one interface and pass one test-suite: "overlay2" (the kernel's overlayfs over idmapped
// lower layers: starting under a map costs no copy and no chown), "fuse-overlayfs" (the program of that name merges the
// same layers where the kernel's cannot) and "vfs" (a full copy with the map's ids, for file systems that cannot). The
// layers below are the LayerStore's and shared by all maps; what a driver owns is <root>[/<scope>]/snapshots/<id>/,
// which holds the host's ids. Nothing is mounted in the host's mount table.
//
// Any thread; calls for the same id must not overlap except const ones. Ids are container ids (64 hex digits or any
// plain name); scope is ids::IdMaps::directory_name() of the engine's map, or "".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/digest.hpp"
#include "base/unique_fd.hpp"
#include "ids/id_map.hpp"
#include "kernel/paths.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"
#include "storage/layer_store.hpp"

namespace bryo::storage {

struct SnapshotName {
  std::string scope;
  std::string id;
  auto operator<=>(const SnapshotName&) const = default;
};

// How to mount a root file system: what runtime's RootfsSource needs. All paths are absolute and the engine's own.
struct RootfsDescription {
  std::string driver;  // SnapshotDriver::name()
  // overlay2, fuse-overlayfs: names below `layers_directory`, top first. When `idmap` is set, mount an idmapped
  // detached clone of layers_directory and take the lower directories from it; upper and work are never idmapped (they
  // hold host ids).
  std::string layers_directory;
  std::vector<std::string> lower;
  std::string upper;
  std::string work;
  bool idmap = false;
  // Mount options that this kernel knows ("index=off" …): our reading of upper directories relies on them.
  std::vector<std::string> options;
  // vfs: bind-mount this; never idmapped.
  std::string directory;
  ids::IdMaps maps;
};

// docker diff: kind as on the wire.
enum class ChangeKind { modified = 0, added = 1, deleted = 2 };
struct PathChange {
  std::string path;  // "/etc/passwd"
  ChangeKind kind = ChangeKind::modified;
  bool operator==(const PathChange&) const = default;
};

struct SnapshotUsage {
  std::uint64_t writable_bytes = 0;  // docker's SizeRw
  std::uint64_t virtual_bytes = 0;   // SizeRootFs: layers and writable together
};

// Something to be seen in a view besides the root file system: a volume or bind mount of the container.
struct ViewMount {
  std::string destination;  // inside the container; resolved in the root, made when missing
  UniqueFd source;          // detached mount (kernel::clone_tree), consumed
  bool read_only = false;
};

class SnapshotDriver {
 public:
  virtual ~SnapshotDriver() = default;
  virtual std::string_view name() const = 0;
  // For `docker info`: {"Backing Filesystem","extfs"}, {"Native Overlay Diff","true"} …
  virtual std::vector<std::pair<std::string, std::string>> status() const = 0;

  // Makes the snapshot over `top` (chain id; none: an empty image). Durable together with the next record that the
  // caller writes. Error{conflict} when the id exists.
  virtual void prepare(const SnapshotName& name, const std::optional<Digest>& top, const ids::IdMaps& maps) = 0;
  virtual bool exists(const SnapshotName& name) const = 0;
  virtual RootfsDescription describe(const SnapshotName& name) const = 0;
  // For one start of the container: its root as a detached mount, for drivers whose root nobody else can mount from the
  // description (fuse-overlayfs). Empty for the others. Whoever holds it keeps the program behind it alive.
  virtual UniqueFd mount_root(const SnapshotName& name) const;
  // The whole merged root as a detached mount, for cp, export and diff of containers that do not run. (A running
  // container's root is /proc/<pid>/root.) Files show host ids. Two views, or a view beside the running container, must
  // not write at the same time: overlayfs calls that undefined.
  virtual UniqueFd mount_view(const SnapshotName& name, bool read_only, std::vector<ViewMount> extra = {}) const = 0;

  // Sorted by path. Mount points of the init layer are not changes.
  virtual std::vector<PathChange> changes(const SnapshotName& name) const = 0;
  // The changes as an OCI layer (tar, not compressed) with the container's ids: whiteouts, opaque directories,
  // xattrs, hard links; sockets are left out.
  virtual void export_diff(const SnapshotName& name, ByteSink& sink) const = 0;
  virtual SnapshotUsage usage(const SnapshotName& name) const = 0;

  // Renamed to the trash; returns before the files are gone. Missing is fine.
  virtual void remove(const SnapshotName& name) = 0;
  // Every snapshot with its top layer: which layers are in use?
  struct Listed {
    SnapshotName name;
    std::optional<Digest> top;
  };
  virtual std::vector<Listed> list() const = 0;
};

// "overlay2" (also "overlay"), "fuse-overlayfs", "vfs", or "" for the best that works on this data root: in this order,
// fuse-overlayfs only in a user namespace. Error{unsupported} says why a named driver cannot work here.
std::unique_ptr<SnapshotDriver> make_snapshot_driver(std::string_view name, DataRoot& root, DocumentStore& documents,
                                                     LayerStore& layers);

}  // namespace bryo::storage

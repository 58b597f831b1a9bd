#include "engine/archive.hpp"

#include <fcntl.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/mount_list.hpp"
#include "kernel/files.hpp"
#include "kernel/idmap.hpp"
#include "storage/archive.hpp"

namespace bryo::engine {
namespace {

PathStat to_view(const storage::PathStat& from) {
  return {from.name, from.size, from.mode, from.mtime, from.link_target};
}

// The texts that `docker cp` prints.
[[noreturn]] void rethrow_for(const Error& error, std::string_view path, const std::string& id) {
  if (error.kind() == ErrorKind::not_found)
    fail(ErrorKind::not_found, "Could not find the file {} in container {}", printable(path), id);
  throw error;
}

}  // namespace

struct Archive::View {
  kernel::RootDirectory root;
  storage::IdShift shift;
  Record record;
};

std::vector<storage::ViewMount> Archive::mounts_of(const Record& record) {
  std::vector<storage::ViewMount> out;
  for (const ResolvedMount& mount : record.mounts) {
    if (mount.point.type == "tmpfs" || !kernel::try_stat_at(AT_FDCWD, mount.point.source)) continue;
    storage::ViewMount view;
    view.destination = mount.point.destination;
    view.source = kernel::clone_tree(AT_FDCWD, mount.point.source, false);
    if (mount.idmap && !record.maps.keeps_ids()) {
      const UniqueFd users = kernel::make_user_namespace(record.maps.uid.proc_text(), record.maps.gid.proc_text());
      kernel::idmap_mount(view.source.get(), users.get());
    }
    view.read_only = !mount.point.rw;
    out.push_back(std::move(view));
  }
  return out;
}

Archive::View Archive::open(const ContainerPtr& container, bool read_only) {
  std::unique_lock lock(container->mutex);
  const Record record = container->record;
  const auto process = container->process;
  if (container->status == Status::removing || container->status == Status::dead)
    fail(ErrorKind::conflict, "container {} is being removed", record.id);
  if (container->is_up()) {
    UniqueFd root = kernel::open_trusted(fmt::format("/proc/{}/root", process.pid), O_PATH | O_DIRECTORY);
    return {kernel::RootDirectory(std::move(root)), storage::IdShift(record.maps), record};
  }
  lock.unlock();
  UniqueFd view = s_.snapshots->mount_view(s_.snapshot_of(record.id), read_only, mounts_of(record));
  return {kernel::RootDirectory(std::move(view)), storage::IdShift(record.maps), record};
}

PathStat Archive::stat(const ContainerPtr& container, std::string_view path) {
  const View view = open(container, true);
  try {
    return to_view(storage::stat_path(view.root, path));
  } catch (const Error& error) {
    rethrow_for(error, path, view.record.id);
  }
}

void Archive::get(const ContainerPtr& container, std::string_view path,
                  const std::function<void(const PathStat&)>& ready, ByteSink& sink) {
  const View view = open(container, true);
  try {
    ready(to_view(storage::stat_path(view.root, path)));
  } catch (const Error& error) {
    rethrow_for(error, path, view.record.id);
  }
  storage::pack(view.root, path, view.shift, sink);
  s_.publish(view.record, "archive-path");
}

void Archive::put(const ContainerPtr& container, const ArchivePutRequest& request, ByteSource& source) {
  const View view = open(container, false);
  const std::string target = clean_path(request.path);
  // Docker refuses what cannot be kept: a read-only root, or a read-only mount.
  const ResolvedMount* inside = nullptr;
  for (const ResolvedMount& mount : view.record.mounts)
    if (target == mount.point.destination || target.starts_with(mount.point.destination + "/")) inside = &mount;
  if (inside != nullptr && !inside->point.rw) fail(ErrorKind::permission, "mounted volume is marked read-only");
  if (inside == nullptr && view.record.host_config.readonly_rootfs)
    fail(ErrorKind::permission, "container rootfs is marked read-only");
  storage::UnpackIntoOptions options;
  options.no_overwrite_dir_non_dir = request.no_overwrite_dir_non_dir;
  options.copy_uid_gid = request.copy_uid_gid;
  if (!view.record.maps.is_identity())
    options.default_owner = {ids::value(view.record.maps.root_uid()), ids::value(view.record.maps.root_gid())};
  try {
    storage::unpack_into(view.root, request.path, view.shift, source, options);
  } catch (const Error& error) {
    rethrow_for(error, request.path, view.record.id);
  }
  s_.publish(view.record, "extract-to-dir");
}

void Archive::export_root(const ContainerPtr& container, ByteSink& sink) {
  Record record;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
  }
  // Without mounts, as Docker exports.
  const kernel::RootDirectory root(s_.snapshots->mount_view(s_.snapshot_of(record.id), true));
  storage::pack_tree(root, storage::IdShift(record.maps), sink);
  s_.publish(record, "export");
}

std::vector<PathChange> Archive::changes(const ContainerPtr& container) {
  std::string id;
  {
    std::lock_guard lock(container->mutex);
    id = container->record.id;
  }
  std::vector<PathChange> out;
  for (const auto& change : s_.snapshots->changes(s_.snapshot_of(id)))
    out.push_back({change.path, static_cast<int>(change.kind)});
  return out;
}

}  // namespace bryo::engine

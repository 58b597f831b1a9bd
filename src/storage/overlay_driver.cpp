#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/user_namespace.hpp"
#include "storage/detached_view.hpp"
#include "storage/snapshot_drivers.hpp"

namespace bryo::storage {
namespace {

// With redirects or metadata-only copies an upper directory alone no longer tells what changed, and an index ties it to
// one mount. Kernels that lack the feature lack the option too.
std::vector<std::string> options_of_this_kernel() {
  std::vector<std::string> options;
  const bool trusted = kernel::in_initial_user_namespace();
  for (const std::string option : {"redirect_dir=off", "metacopy=off", "index=off"})
    if (kernel::try_stat_at(AT_FDCWD, "/sys/module/overlay/parameters/" + option.substr(0, option.find('='))))
      options.push_back(option);
  if (trusted) return options;
  // trusted.* attributes are for the machine's root only (Linux 5.11). "off" may mean to follow, which these forbid.
  std::ranges::replace(options, "redirect_dir=off", "redirect_dir=nofollow");
  options.emplace_back("userxattr");
  return options;
}

void make_owned(int parent, const std::string& name, mode_t mode, const kernel::Owner& owner) {
  kernel::make_directory(parent, name, 0700);
  const UniqueFd fd = kernel::open_at(parent, name, O_RDONLY | O_DIRECTORY);
  kernel::change_owner(fd.get(), owner.uid, owner.gid);
  kernel::change_mode(fd.get(), mode);
}

}  // namespace

OverlayDriver::OverlayDriver(DataRoot& root, DocumentStore& documents, LayerStore& layers)
    : name_("overlay2"),
      root_(root),
      layers_(layers),
      table_(name_, root, documents),
      options_(options_of_this_kernel()),
      form_(ChangesForm::upper),
      idmaps_(kernel::in_initial_user_namespace()) {
  try_out();
  if (!idmaps_) use_copies();
  remake_missing();
}

OverlayDriver::OverlayDriver(std::string name, DataRoot& root, DocumentStore& documents, LayerStore& layers)
    : name_(std::move(name)),
      root_(root),
      layers_(layers),
      table_(name_, root, documents),
      form_(ChangesForm::upper_with_files),
      idmaps_(false) {
  use_copies();
  remake_missing();
}

void OverlayDriver::remake_missing() {
  table_.remake_missing(
      [this](const SnapshotRecord& record, const std::string& temporary) { fill(record, temporary); });
}

void OverlayDriver::use_copies() {
  shifted_ = std::make_unique<ShiftedImages>(root_, layers_);
  collect_copies();
}

void OverlayDriver::collect_copies() {
  std::set<std::string> used;
  for (const auto& [name, record] : table_.records())
    if (needs_copy(record.maps)) used.insert(ShiftedImages::name_of(record.top, record.maps));
  shifted_->collect(used);
}

void OverlayDriver::remove(const SnapshotName& name) {
  table_.remove(name);
  if (shifted_) collect_copies();
}

// It must keep attributes and file types in directories.
void OverlayDriver::try_out() {
  const std::string temporary = root_.make_temporary("check");
  const UniqueFd directory = kernel::open_at(root_.fd(), temporary, O_RDONLY | O_DIRECTORY);
  for (const char* name : {"lower", "upper", "work"}) kernel::make_directory(directory.get(), name, 0700);
  const std::string path = root_.path() + "/" + temporary;
  try {
    RootfsDescription rootfs;
    rootfs.layers_directory = path;
    rootfs.lower = {"lower"};
    rootfs.upper = path + "/upper";
    rootfs.work = path + "/work";
    rootfs.options = options_;
    ViewRequest request;
    request.make = [&] { return mount(rootfs, true); };
    const UniqueFd view = make_detached_view(request);
    kernel::open_at(view.get(), "try", O_WRONLY | O_CREAT | O_EXCL, 0600);
  } catch (const Error& error) {
    root_.discard(temporary);
    fail(ErrorKind::unsupported, "storage driver {} does not work on {} ({}): {}", name_, root_.path(),
         root_.backing_filesystem(), error.message());
  }
  root_.discard(temporary);
}

std::vector<std::pair<std::string, std::string>> OverlayDriver::status() const {
  return {{"Backing Filesystem", root_.backing_filesystem()},
          {"Supports d_type", "true"},
          {"Using metacopy", "false"},
          {"Native Overlay Diff", "true"},
          {"userxattr", kernel::in_initial_user_namespace() ? "false" : "true"}};
}

void OverlayDriver::prepare(const SnapshotName& name, const std::optional<Digest>& top, const ids::IdMaps& maps) {
  layers_below(layers_, top);  // what is missing is said here, not at the start
  const SnapshotRecord record{name_, top, maps};
  table_.add(name, record, [&](const std::string& temporary) { fill(record, temporary); });
}

void OverlayDriver::fill(const SnapshotRecord& record, const std::string& temporary) {
  const struct stat root = image_root_stat(layers_, record.top);
  const IdShift shift(record.maps);
  const UniqueFd directory = kernel::open_at(root_.fd(), temporary, O_RDONLY | O_DIRECTORY);
  make_owned(directory.get(), "upper", root.st_mode & 07777U, shift.to_disk(root.st_uid, root.st_gid));
  make_owned(directory.get(), "work", 0700, shift.to_disk(0, 0));
  if (needs_copy(record.maps)) shifted_->require(record.top, record.maps);
}

RootfsDescription OverlayDriver::describe(const SnapshotName& name) const {
  const SnapshotRecord record = table_.get(name);
  RootfsDescription rootfs;
  rootfs.driver = name_;
  rootfs.layers_directory = layers_.directory();
  rootfs.lower = layers_below(layers_, record.top);
  rootfs.upper = table_.path_of(name) + "/upper";
  rootfs.work = table_.path_of(name) + "/work";
  rootfs.idmap = idmaps_ && !record.maps.keeps_ids();
  if (needs_copy(record.maps)) {
    rootfs.layers_directory = shifted_->directory();
    rootfs.lower = {ShiftedImages::name_of(record.top, record.maps)};
  }
  rootfs.options = options_;
  rootfs.maps = record.maps;
  return rootfs;
}

UniqueFd OverlayDriver::mount(const RootfsDescription& rootfs, bool with_upper) const {
  UniqueFd parent = rootfs.idmap ? kernel::clone_tree(AT_FDCWD, rootfs.layers_directory, false)
                                 : kernel::open_trusted(rootfs.layers_directory, O_PATH | O_DIRECTORY);
  if (rootfs.idmap) {
    const auto map = namespaces_.get(rootfs.maps.uid.proc_text(), rootfs.maps.gid.proc_text());
    kernel::idmap_mount(parent.get(), map->get());
  }
  kernel::OverlayLayers layers;
  layers.lower = rootfs.lower;
  layers.parent = parent.get();
  layers.options = rootfs.options;
  if (with_upper) {
    layers.upper = rootfs.upper;
    layers.work = rootfs.work;
  } else {
    layers.above = rootfs.upper;
  }
  return kernel::overlay_mount(layers);
}

UniqueFd OverlayDriver::mount_view(const SnapshotName& name, bool read_only, std::vector<ViewMount> extra) const {
  const RootfsDescription rootfs = describe(name);
  // For reading, the upper directory is one more lower one: the work directory of a container that runs, or is just
  // being started, is not touched. Only where mount points are missing (never started) it must be written.
  bool with_upper = !read_only;
  if (!with_upper && !extra.empty()) {
    ViewRequest look;
    look.make = [&] { return mount(rootfs, false); };
    const kernel::RootDirectory root(make_detached_view(look));
    for (const ViewMount& mount : extra) with_upper = with_upper || !root.try_resolve(mount.destination);
  }
  ViewRequest request;
  request.make = [&] { return mount(rootfs, with_upper); };
  request.extra = &extra;
  request.read_only = read_only;
  request.make_destinations = with_upper;
  return make_detached_view(request);
}

std::vector<PathChange> OverlayDriver::changes(const SnapshotName& name) const {
  const SnapshotRecord record = table_.get(name);
  std::vector<std::string> below = layers_below(layers_, record.top);
  for (auto& layer : below) layer = layers_.directory() + "/" + layer;
  const UniqueFd upper = kernel::open_trusted(table_.path_of(name) + "/upper", O_PATH | O_DIRECTORY);
  return list_changes(upper.get(), MergedDirectory::open(below), IdShift(record.maps), form_);
}

void OverlayDriver::export_diff(const SnapshotName& name, ByteSink& sink) const {
  const SnapshotRecord record = table_.get(name);
  std::vector<std::string> below = layers_below(layers_, record.top);
  for (auto& layer : below) layer = layers_.directory() + "/" + layer;
  const UniqueFd upper = kernel::open_trusted(table_.path_of(name) + "/upper", O_PATH | O_DIRECTORY);
  pack_changes(upper.get(), MergedDirectory::open(below), IdShift(record.maps), form_, sink);
}

SnapshotUsage OverlayDriver::usage(const SnapshotName& name) const {
  const SnapshotRecord record = table_.get(name);
  SnapshotUsage usage;
  usage.writable_bytes = tree_bytes(kernel::open_trusted(table_.path_of(name) + "/upper", O_PATH | O_DIRECTORY).get());
  usage.virtual_bytes = usage.writable_bytes;
  if (record.top)
    for (const LayerInfo& layer : layers_.chain(*record.top)) usage.virtual_bytes += layer.size;
  return usage;
}

}  // namespace bryo::storage

#include "runtime/prepare_mounts.hpp"

#include <sys/mount.h>

#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/foreign_mounts.hpp"
#include "kernel/idmap.hpp"
#include "kernel/mounts.hpp"
#include "kernel/paths.hpp"
#include "kernel/raw.hpp"
#include "runtime/device_tree.hpp"

namespace bryo::runtime {
namespace {

namespace raw = kernel::raw;

int descriptor_at(std::span<const int> descriptors, std::int32_t index) {
  if (static_cast<std::size_t>(index) >= descriptors.size())
    fail(ErrorKind::invalid_argument, "launch plan: descriptor {} was not handed over", index);
  return descriptors[static_cast<std::size_t>(index)];
}

UniqueFd clone_path(const std::string& path, bool recursive, const char* what) {
  UniqueFd fd(raw::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0U)));
  if (fd.get() < 0) throw Error::from_errno(-fd.release(), fmt::format("{} {}", what, printable(path)));
  return fd;
}

// --- root file system ---

UniqueFd prepare_overlay(const RootfsSource& source, int user_namespace) {
  kernel::OverlayLayers layers;
  layers.lower = source.lower;
  layers.upper = source.upper;
  layers.work = source.work;
  layers.options = source.options;
  UniqueFd parent;
  if (source.lower_idmap) {
    // One clone of the common parent serves all layers: O(1) mounts a container, however many layers.
    parent = clone_path(source.lower_parent, false, "clone the layers' directory");
    kernel::idmap_mount(parent.get(), user_namespace);
  } else if (!source.lower_parent.empty()) {
    parent = UniqueFd(::open(source.lower_parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) fail_errno("open the layers' directory {}", source.lower_parent);
  }
  layers.parent = parent.get();
  return kernel::overlay_mount(layers);
}

// A slave has to be one of the host's mount, of which only this clone still knows.
std::uint64_t root_propagation(const LaunchPlan& plan) {
  for (const Step& step : plan.steps)
    if (const auto* enter = std::get_if<EnterRoot>(&step); enter != nullptr && enter->propagation == MS_SLAVE)
      return MS_SLAVE;
  return MS_PRIVATE;
}

// Everything mounted below it comes along.
UniqueFd prepare_mounted(const RootfsSource& source, std::span<const int> descriptors) {
  UniqueFd root(raw::duplicate(descriptor_at(descriptors, source.descriptor), 0));
  if (root.get() < 0)
    throw Error::from_errno(-root.release(), fmt::format("take the mount of {}", printable(source.path)));
  return root;
}

UniqueFd prepare_root(const RootfsSource& source, std::span<const int> descriptors, int user_namespace,
                      std::uint64_t propagation) {
  if ((source.lower_idmap || source.kind == RootfsSource::Kind::idmapped_directory) && user_namespace < 0)
    fail(ErrorKind::invalid_argument, "launch plan: an idmapped root file system without a user namespace");
  if (source.kind == RootfsSource::Kind::overlay) return prepare_overlay(source, user_namespace);
  const bool mapped = source.kind == RootfsSource::Kind::idmapped_directory;
  UniqueFd root = source.kind == RootfsSource::Kind::mounted
                      ? prepare_mounted(source, descriptors)
                      : clone_path(source.path, !mapped, "clone the root file system");
  if (mapped) kernel::idmap_mount(root.get(), user_namespace);
  kernel::change_mount(root.get(), 0, 0, propagation, true, source.path);
  return root;
}

// --- sources ---

// /proc/PID/root/path: of another process' mount namespace, from which open_tree() clones nothing for us.
struct ForeignPath {
  pid_t process;
  std::string path;
};

std::optional<ForeignPath> foreign_path(const std::string& path) {
  constexpr std::string_view kStart = "/proc/";
  constexpr std::string_view kRoot = "/root/";
  if (!path.starts_with(kStart)) return std::nullopt;
  const auto slash = path.find('/', kStart.size());
  if (slash == std::string::npos || path.compare(slash, kRoot.size(), kRoot) != 0) return std::nullopt;
  const auto process = parse_integer<pid_t>(std::string_view(path).substr(kStart.size(), slash - kStart.size()));
  if (!process) return std::nullopt;
  return ForeignPath{*process, path.substr(slash + kRoot.size() - 1)};
}

UniqueFd clone_bind(const BindSource& bind, std::span<const int> descriptors) {
  if (bind.descriptor >= 0) return kernel::clone_tree(descriptor_at(descriptors, bind.descriptor), "", bind.recursive);
  if (const auto other = foreign_path(bind.path); other && bind.root.empty())
    return kernel::clone_tree_of(other->process, other->path, bind.recursive);
  if (bind.root.empty()) return clone_path(bind.path, bind.recursive, "bind source");
  // A name inside a volume: whoever writes there must not lead us out of it (CVE-2017-1002101, CVE-2021-25741).
  const UniqueFd inside = kernel::RootDirectory::open(bind.root).resolve(bind.path);
  return kernel::clone_tree(inside.get(), "", bind.recursive);
}

void map_ids(const BindSource& bind, int mount, int user_namespace) {
  if (bind.idmap == IdMapping::none) return;
  if (bind.idmap == IdMapping::own) {
    const UniqueFd own = kernel::make_user_namespace(bind.maps.uid, bind.maps.gid);
    kernel::idmap_mount(mount, own.get(), bind.idmap_recursive);
    return;
  }
  if (user_namespace < 0) fail(ErrorKind::invalid_argument, "launch plan: an idmapped mount without a user namespace");
  kernel::idmap_mount(mount, user_namespace, bind.idmap_recursive);
}

// A slave of the host's that shares onwards (MS_SLAVE | MS_SHARED) takes two calls, in this order.
void set_propagation(int mount, std::uint64_t wanted, bool recursive, const std::string& subject) {
  if ((wanted & MS_SLAVE) != 0 && (wanted & MS_SHARED) != 0) {
    kernel::change_mount(mount, 0, 0, MS_SLAVE, recursive, subject);
    wanted = MS_SHARED;
  }
  kernel::change_mount(mount, 0, 0, wanted, recursive, subject);
}

void apply(const BindSource& bind, int mount) {
  const MountAttributes& wanted = bind.attributes;
  const std::string& subject = bind.path;
  // The common case in one call: a single mount, attributes and a plain propagation.
  const bool simple =
      (wanted.set_recursive | wanted.clear_recursive) == 0 && wanted.propagation != (MS_SLAVE | MS_SHARED);
  if (simple && !bind.recursive) {
    kernel::change_mount(mount, wanted.set, wanted.clear, wanted.propagation, false, subject);
    return;
  }
  if ((wanted.set_recursive | wanted.clear_recursive) != 0)
    kernel::change_mount(mount, wanted.set_recursive, wanted.clear_recursive, 0, true, subject);
  if ((wanted.set | wanted.clear) != 0) kernel::change_mount(mount, wanted.set, wanted.clear, 0, false, subject);
  // What lies below and was not asked to be shared is not.
  if (!wanted.propagation_recursive && bind.recursive) kernel::change_mount(mount, 0, 0, MS_PRIVATE, true, subject);
  if (wanted.propagation != 0) set_propagation(mount, wanted.propagation, wanted.propagation_recursive, subject);
}

UniqueFd prepare_bind(const BindSource& bind, std::span<const int> descriptors, int user_namespace) {
  UniqueFd mount = clone_bind(bind, descriptors);
  try {
    map_ids(bind, mount.get(), user_namespace);
  } catch (const Error& error) {
    throw error.within(fmt::format("idmap of {}", printable(bind.path)));
  }
  apply(bind, mount.get());
  return mount;
}

}  // namespace

std::vector<UniqueFd> prepare_mounts(const LaunchPlan& plan, std::span<const int> descriptors, int user_namespace) {
  std::vector<UniqueFd> mounts;
  mounts.reserve(1 + plan.sources.size());
  mounts.push_back(prepare_root(plan.rootfs, descriptors, user_namespace, root_propagation(plan)));
  for (const Source& source : plan.sources) {
    if (const auto* bind = std::get_if<BindSource>(&source))
      mounts.push_back(prepare_bind(*bind, descriptors, user_namespace));
    else if (const auto* tree = std::get_if<DeviceTreeSource>(&source))
      mounts.push_back(make_device_tree(*tree));
    else
      mounts.push_back(clone_device(std::get<DeviceSource>(source)));
  }
  return mounts;
}

}  // namespace bryo::runtime

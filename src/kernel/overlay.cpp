#include <sys/mount.h>

#include <utility>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/mounts.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

UniqueFd open_directory(int parent, const std::string& path) {
  // With a parent the names are the engine's own (chain ids), and no link of theirs is followed.
  UniqueFd fd(parent >= 0 ? raw::open_below(parent, path.c_str(), O_PATH | O_DIRECTORY,
                                            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
                          : ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) {
    const int number = parent >= 0 ? -fd.release() : errno;
    throw Error::from_errno(number, fmt::format("open layer {}", printable(path)));
  }
  return fd;
}

std::string fd_path(const UniqueFd& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

// The descriptors live until the overlay has taken its own references.
struct OpenLayers {
  explicit OpenLayers(const OverlayLayers& layers) {
    if (!layers.above.empty()) lower.push_back(open_directory(-1, layers.above));
    for (const std::string& path : layers.lower) lower.push_back(open_directory(layers.parent, path));
    if (layers.upper.empty()) return;
    upper = open_directory(-1, layers.upper);
    work = open_directory(-1, layers.work);
  }
  std::vector<UniqueFd> lower;
  UniqueFd upper;
  UniqueFd work;
};

UniqueFd mount_detached(const OverlayLayers& layers) {
  const OpenLayers open(layers);
  NewFilesystem overlay("overlay");
  for (const UniqueFd& fd : open.lower) overlay.option("lowerdir+", fd_path(fd));
  if (open.upper) {
    overlay.option("upperdir", fd_path(open.upper));
    overlay.option("workdir", fd_path(open.work));
  }
  for (const std::string& option : layers.options) overlay.option(option);
  return overlay.mount(0);
}

// A copy of the mount namespace for the life of this object.
class PrivateMounts {
 public:
  PrivateMounts()
      : namespace_(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)),
        directory_(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (!namespace_ || !directory_) fail_errno("open the mount namespace");
    if (const int result = raw::unshare(CLONE_NEWNS); result < 0)
      throw Error::from_errno(-result, "make a mount namespace");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      const int number = errno;
      leave();
      throw Error::from_errno(number, "make mounts private");
    }
  }
  ~PrivateMounts() { leave(); }
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;

 private:
  void leave() noexcept {
    // Neither can fail for a process that was there before; if one does, we must not go on in the wrong tree.
    if (raw::setns(namespace_.get(), CLONE_NEWNS) < 0 || ::fchdir(directory_.get()) != 0) ::_exit(70);
  }
  UniqueFd namespace_;
  UniqueFd directory_;
};

// Options of mount(2) are one page of text: descriptors' numbers, relative to /proc/self/fd, keep 128 layers short and
// need no escaping.
std::string legacy_options(const OverlayLayers& layers, const OpenLayers& open) {
  std::string text = "lowerdir=";
  for (const UniqueFd& fd : open.lower) text += fmt::format("{}{}", text.back() == '=' ? "" : ":", fd.get());
  if (open.upper) text += fmt::format(",upperdir={},workdir={}", open.upper.get(), open.work.get());
  for (const std::string& option : layers.options) text += "," + option;
  if (text.size() >= 4096)
    fail(ErrorKind::unsupported, "overlay of {} layers: the options do not fit into this kernel's mount(2)",
         layers.lower.size());
  return text;
}

UniqueFd mount_in_private_namespace(OverlayLayers layers) {
  const std::string parent_path =
      layers.parent < 0 ? "" : read_link(AT_FDCWD, fmt::format("/proc/self/fd/{}", layers.parent));
  const PrivateMounts restore;
  UniqueFd parent;
  if (layers.parent >= 0) {
    // A detached parent becomes part of this namespace, on top of "/", where no path look-up of ours passes. EINVAL: an
    // ordinary directory, seen through a mount of the namespace that we have just left: opened again in this one.
    const int result = raw::move_mount(layers.parent, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
    if (result < 0 && result != -EINVAL) throw Error::from_errno(-result, "attach the layers' directory");
    if (result == -EINVAL) {
      parent = open_directory(-1, parent_path);
      layers.parent = parent.get();
    }
  }
  const OpenLayers open(layers);
  const std::string options = legacy_options(layers, open);
  if (::chdir("/proc/self/fd") != 0) fail_errno("chdir /proc/self/fd");
  // Over /proc, because that is there on every host; only this namespace sees it.
  if (::mount("overlay", "/proc", "overlay", 0, options.c_str()) != 0)
    fail_errno("mount overlay of {} layers", layers.lower.size());
  UniqueFd clone(raw::open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE));
  if (clone.get() < 0) throw Error::from_errno(-clone.release(), "clone the overlay mount");
  return clone;
}

}  // namespace

UniqueFd overlay_mount(const OverlayLayers& layers, OverlayMethod method) {
  if (method == OverlayMethod::private_namespace) return mount_in_private_namespace(layers);
  try {
    return mount_detached(layers);
  } catch (const Error& error) {
    // What older kernels say to lowerdir+ and to layers outside any mount namespace.
    if (method == OverlayMethod::detached || error.number() != EINVAL) throw;
  }
  return mount_in_private_namespace(layers);
}

}  // namespace bryo::kernel

// Masked and read-only paths. The mask is never something of the container's own: the host's /dev/null, looked at after
// it was opened, and an empty tmpfs (CVE-2025-31133).
#include <sys/sysmacros.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"
#include "runtime/child_path.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

// We are still in the host's tree here: pivot_root comes after the masks. Read-only, or root in the container could
// change the mode of the host's device through the mask.
int null_mask(ChildContext& context) noexcept {
  const int fd = static_cast<int>(raw::call(SYS_open, "/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  context.link.check(fd, {"open the host's /dev/null"});
  struct stat info = {};
  context.link.check(raw::fstat(fd, info), {"stat the host's /dev/null"});
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))
    context.link.fail(EINVAL, {"the host's /dev/null is not the null device"});
  const int mask = context.link.check(raw::open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH), {"clone /dev/null"});
  raw::close(fd);
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  attributes.propagation = MS_PRIVATE;
  context.link.check(raw::mount_setattr(mask, 0, attributes), {"make the mask read-only"});
  return mask;
}

int clone_of(ChildContext& context, int fd, bool recursive, const char* what) noexcept {
  return context.link.check(raw::open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U)),
                            {"clone the mount for ", what});
}

int new_empty_directory(ChildContext& context) noexcept {
  const int fs = context.link.check(raw::fsopen("tmpfs"), {"fsopen tmpfs"});
  raw::fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0);
  raw::fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "2", 0);
  context.link.check(raw::fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), {"make the tmpfs of masked paths"});
  const int mount =
      context.link.check(raw::fsmount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
                         {"mount the tmpfs of masked paths"});
  raw::close(fs);
  return mount;
}

// -1 when there is nothing to hide.
int open_if_there(ChildContext& context, const std::string& path) noexcept {
  const int fd = open_path(context.root, path.c_str(), Links::follow);
  if (fd == -ENOENT || fd == -ENOTDIR) return -1;
  return context.link.check(fd, {"find ", path.c_str()});
}

}  // namespace

void mask_path(ChildContext& context, const MaskPath& step) noexcept {
  const int target = open_if_there(context, step.target);
  if (target < 0) return;
  struct stat info = {};
  context.link.check(raw::fstat(target, info), {"stat ", step.target.c_str()});
  // The first mask of a kind is made; the others are clones of it, which is in our mount namespace now.
  int& first = S_ISDIR(info.st_mode) ? context.empty_directory : context.null_device;
  int mask = -1;
  if (first < 0)
    mask = first = S_ISDIR(info.st_mode) ? new_empty_directory(context) : null_mask(context);
  else
    mask = clone_of(context, first, false, step.target.c_str());
  context.link.check(raw::attach(mask, target), {"mask ", step.target.c_str()});
  if (mask != first) raw::close(mask);
  raw::close(target);
}

void read_only_path(ChildContext& context, const ReadOnlyPath& step) noexcept {
  const int target = open_if_there(context, step.target);
  if (target < 0) return;
  const int clone = clone_of(context, target, true, step.target.c_str());
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  context.link.check(raw::mount_setattr(clone, AT_RECURSIVE, attributes), {"make read-only ", step.target.c_str()});
  context.link.check(raw::attach(clone, target), {"make read-only ", step.target.c_str()});
  raw::close(clone);
  raw::close(target);
}

}  // namespace bryo::runtime::child

// Mounts of the child, by descriptor only (design/security.md D2): made or received detached, attached on a target that
// was resolved inside the root.
#include <linux/magic.h>

#include <utility>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"
#include "runtime/child_path.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

bool on_procfs(int fd) noexcept {
  struct statfs info = {};
  return raw::fstatfs(fd, info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

int set_attributes(int mount, const MountAttributes& wanted) noexcept {
  if ((wanted.set | wanted.clear) != 0) {
    struct mount_attr attributes = {};
    attributes.attr_set = wanted.set;
    attributes.attr_clr = wanted.clear;
    if (const int result = raw::mount_setattr(mount, 0, attributes); result < 0) return result;
  }
  if ((wanted.set_recursive | wanted.clear_recursive) != 0) {
    struct mount_attr attributes = {};
    attributes.attr_set = wanted.set_recursive;
    attributes.attr_clr = wanted.clear_recursive;
    if (const int result = raw::mount_setattr(mount, AT_RECURSIVE, attributes); result < 0) return result;
  }
  if (wanted.propagation == 0) return 0;
  struct mount_attr attributes = {};
  attributes.propagation = wanted.propagation;
  return raw::mount_setattr(mount, wanted.propagation_recursive ? AT_RECURSIVE : 0U, attributes);
}

// What the file system wrote into its log, for the message.
void read_log(int context, FixedText<400>& text) noexcept {
  char line[200];
  for (int i = 0; i < 4; ++i) {
    const long size = raw::call(SYS_read, context, line, sizeof line);
    if (size <= 2) return;
    text.add(" (").add(line + 2, static_cast<std::size_t>(size) - 2).add(")");
  }
}

struct NewMount {
  int fd = -1;
  int error = 0;
  FixedText<400> log;
};

int set_option(int fs, const char* option) noexcept {
  FixedText<64> key;
  const char* value = option;
  while (*value != '\0' && *value != '=') ++value;
  key.add(option, static_cast<std::size_t>(value - option));
  if (*value == '\0') return raw::fsconfig(fs, FSCONFIG_SET_FLAG, option, nullptr, 0);
  return raw::fsconfig(fs, FSCONFIG_SET_STRING, key.c_str(), value + 1, 0);
}

bool is_mode(const std::string& option) noexcept {
  const char* text = option.c_str();
  for (const char* word = "mode="; *word != '\0'; ++word, ++text)
    if (*text != *word) return false;
  return true;
}

// A tmpfs without a mode of its own has that of the directory that it covers, if there is one.
bool needs_mode(const MountFilesystem& step) noexcept {
  if (step.type != "tmpfs") return false;
  for (const std::string& option : step.options)
    if (is_mode(option)) return false;
  return true;
}

void take_mode_of_target(const ChildContext& context, const MountFilesystem& step, FixedText<16>& mode) noexcept {
  if (!needs_mode(step)) return;
  const int fd = open_path(context.root, step.target.c_str(), Links::follow, O_DIRECTORY);
  struct stat info = {};
  if (fd >= 0 && raw::fstat(fd, info) == 0)
    for (int shift = 9; shift >= 0; shift -= 3) mode.add_number(info.st_mode >> shift & 7U);
  if (fd >= 0) raw::close(fd);
}

// A configured and made file system that is not a mount yet; or its error and what it said.
int make_filesystem(const MountFilesystem& step, const char* mode, FixedText<400>& log) noexcept {
  const int fs = raw::fsopen(step.type.c_str());
  if (fs < 0) return fs;
  int result = 0;
  if (!step.source.empty()) result = raw::fsconfig(fs, FSCONFIG_SET_STRING, "source", step.source.c_str(), 0);
  for (std::size_t i = 0; result >= 0 && i < step.options.size(); ++i) result = set_option(fs, step.options[i].c_str());
  if (result >= 0 && *mode != '\0') result = raw::fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0);
  if (result >= 0) result = raw::fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (result >= 0) return fs;
  read_log(fs, log);
  raw::close(fs);
  return result;
}

void create(ChildContext& context, const MountFilesystem& step, NewMount& out) noexcept {
  // What is copied into it must be written before it is read-only.
  const std::uint64_t attributes = step.copy_up ? step.attributes & ~std::uint64_t{MOUNT_ATTR_RDONLY} : step.attributes;
  int& early = context.filesystems[context.step];
  int fs = std::exchange(early, -1);
  if (fs < 0) {
    FixedText<16> mode;
    take_mode_of_target(context, step, mode);
    fs = make_filesystem(step, mode.c_str(), out.log);
  }
  int result = fs;
  if (fs >= 0) {
    result = raw::fsmount(fs, static_cast<unsigned>(attributes));
    if (result < 0) read_log(fs, out.log);
    raw::close(fs);
  }
  out.fd = result >= 0 ? result : -1;
  out.error = result < 0 ? -result : 0;
}

void fill(ChildContext& context, const MountFilesystem& step, int mount, int target) noexcept {
  copy_up(context, target, mount, step.target.c_str());
  if ((step.attributes & MOUNT_ATTR_RDONLY) == 0) return;
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  context.link.check(raw::mount_setattr(mount, 0, attributes), {"make read-only ", step.target.c_str()});
}

}  // namespace

void attach_root(ChildContext& context) noexcept {
  // Nothing we mount may show on the host. What we got from the launcher keeps its own propagation.
  struct mount_attr attributes = {};
  attributes.propagation = MS_PRIVATE;
  const long result = raw::call(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes,
                                static_cast<unsigned long>(sizeof attributes));
  context.link.check(static_cast<int>(result), {"make the host's mounts private"});
  context.root = context.mounts[0];
  if (context.cover >= 0) {
    context.link.check(raw::move_mount(context.cover, "", AT_FDCWD, context.cover_path, MOVE_MOUNT_F_EMPTY_PATH),
                       {"cover ", context.cover_path, " for the hooks"});
    raw::close(context.cover);
  }
  // Hooks look for it under its own name. Under a map we may be unable to go there: then it is at "/", as without them.
  if (context.root_path != nullptr) {
    const int shown = raw::move_mount(context.root, "", AT_FDCWD, context.root_path, MOVE_MOUNT_F_EMPTY_PATH);
    if (shown >= 0) return;
    if (context.root_must_show)
      context.link.fail(-shown, {"show the root file system to the hooks at ", context.root_path});
  }
  // On top of "/": path look-ups of ours still begin in the host's tree below it until pivot_root.
  context.link.check(raw::move_mount(context.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH),
                     {"attach the root file system"});
}

namespace {

// The root lies over "/" (hooks had it elsewhere: it moves there), and we go into it.
void change_root(ChildContext& context) noexcept {
  if (context.root_path != nullptr)
    context.link.check(raw::move_mount(context.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH),
                       {"move the root file system to /"});
  context.link.check(static_cast<int>(raw::call(SYS_chroot, ".")), {"chroot"});
}

void pivot(ChildContext& context) noexcept {
  if (const int result = raw::pivot_root(".", "."); result < 0) {
    if (result == -EINVAL)
      context.link.fail(EINVAL,
                        {"pivot_root: the host's own root must be a mount, not the initramfs (use switch_root, or "
                         "--no-pivot)"});
    context.link.fail(-result, {"pivot_root"});
  }
  // The host's tree now lies on top of our root.
  context.link.check(raw::unmount(".", MNT_DETACH), {"detach the host's mounts"});
}

}  // namespace

void enter_root(ChildContext& context, const EnterRoot& step) noexcept {
  context.link.check(static_cast<int>(raw::call(SYS_fchdir, context.root)), {"enter the root file system"});
  if (context.no_pivot)
    change_root(context);
  else
    pivot(context);
  context.link.check(static_cast<int>(raw::call(SYS_chdir, "/")), {"chdir /"});
  if (step.propagation == 0) return;
  struct mount_attr attributes = {};
  attributes.propagation = step.propagation;
  context.link.check(raw::mount_setattr(context.root, step.recursive ? AT_RECURSIVE : 0U, attributes),
                     {"set the propagation of the root"});
}

void attach_source(ChildContext& context, const AttachSource& step) noexcept {
  int mount = context.mounts[1 + step.source];
  // Since Linux 6.15 a detached mount can be cloned; before, it keeps its place.
  if (step.in_order)
    if (const int clone = raw::open_tree(mount, "", OPEN_TREE_CLONE | AT_EMPTY_PATH); clone >= 0) mount = clone;
  const char* path = step.target.c_str();
  struct stat info = {};
  context.link.check(raw::fstat(mount, info), {"stat the source of mount ", path});
  const int target = context.link.check(
      make_path(context.root, path, step.plain_target ? Links::refuse : Links::follow, S_ISDIR(info.st_mode)),
      {"find mount point ", path, S_ISDIR(info.st_mode) ? " (a directory)" : " (a file)"});
  // CVE-2019-16884, CVE-2021-30465: a link or a volume must not carry a mount onto the container's procfs.
  if (!step.allow_in_proc && on_procfs(target))
    context.link.fail(EPERM, {"mount ", path, ": it is inside /proc, where nothing may be mounted"});
  if (const int result = raw::attach(mount, target); result < 0)
    context.link.fail(-result, {"mount onto ", path,
                                result == -ENOTDIR ? " (a directory onto a file, or a file onto a directory?)" : ""});
  raw::close(target);
  if (step.target == "/proc" && on_procfs(mount)) {
    context.proc = mount;
    return;
  }
  raw::close(mount);
}

void make_filesystem_early(ChildContext& context, const MountFilesystem& step) noexcept {
  // Under a map it belongs to whom we become later; a cgroup file system shows the cgroup namespace that we make later.
  if (context.plan->find(Namespace::user) != nullptr || needs_mode(step)) return;
  if (step.type != "proc" && step.type != "sysfs" && step.type != "tmpfs" && step.type != "devpts" &&
      step.type != "mqueue")
    return;
  FixedText<400> log;
  // What fails is tried again when its turn comes, and told then.
  context.filesystems[context.step] = make_filesystem(step, "", log);
}

void mount_filesystem(ChildContext& context, const MountFilesystem& step) noexcept {
  const char* path = step.target.c_str();
  NewMount made;
  create(context, step, made);
  int target = -1;
  if (made.error == 0) {
    target = make_path(context.root, path, step.plain_target ? Links::refuse : Links::follow, true);
    if (target < 0) made.error = -target;
  }
  if (made.error == 0 && step.type != "proc" && on_procfs(target)) made.error = EPERM;
  if (made.error == 0 && step.copy_up) fill(context, step, made.fd, target);
  if (made.error == 0) made.error = -raw::attach(made.fd, target);
  if (made.error == 0 && step.propagation != 0) {
    struct mount_attr attributes = {};
    attributes.propagation = step.propagation;
    made.error = -raw::mount_setattr(made.fd, 0, attributes);
  }
  if (made.error != 0) {
    const char* hint =
        made.error == ELOOP || made.error == ENOTDIR ? ": it must be an ordinary directory, not a link" : "";
    if (!step.optional)
      context.link.fail(made.error, {"mount ", step.type.c_str(), " on ", path, hint, made.log.c_str()});
    context.link.warn(made.error, {"mount ", step.type.c_str(), " on ", path, hint, made.log.c_str()});
  }
  if (target >= 0) raw::close(target);
  if (made.fd < 0) return;
  if (made.error == 0 && step.type == "proc" && step.target == "/proc")
    context.proc = made.fd;
  else if (made.error == 0 && step.type == "devpts")
    context.devpts = made.fd;
  else
    raw::close(made.fd);
}

void change_mount(ChildContext& context, const ChangeMount& step) noexcept {
  const int mount = context.link.check(open_path(context.root, step.target.c_str(), Links::follow),
                                       {"find mount ", step.target.c_str()});
  context.link.check(set_attributes(mount, step.attributes), {"change the mount of ", step.target.c_str()});
  raw::close(mount);
}

void root_read_only(ChildContext& context) noexcept {
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  context.link.check(raw::mount_setattr(context.root, 0, attributes), {"make the root file system read-only"});
}

}  // namespace bryo::runtime::child

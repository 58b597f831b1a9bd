// Files the child makes in the container, and what it writes to procfs.
#include <sys/sysmacros.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"
#include "runtime/child_path.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

// The directory of `path` (made if missing); `name` is its last component.
int open_parent(ChildContext& context, const std::string& path, FixedText<256>& name) noexcept {
  std::size_t cut = path.size();
  while (cut > 0 && path[cut - 1] != '/') --cut;
  name.add(path.c_str() + cut);
  FixedText<4096> directory;
  directory.add(path.c_str(), cut);
  if (directory.size() == 0) directory.add("/");
  return context.link.check(make_path(context.root, directory.c_str(), Links::refuse, true),
                            {"find the directory of ", path.c_str()});
}

// config-linux.md, "Devices": another file at the path of a device is an error.
void check_node(ChildContext& context, int parent, const char* name, const DeviceNode& node, unsigned type) noexcept {
  const int fd = raw::open_below(parent, name, O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  struct stat info = {};
  context.link.check(fd, {"open device ", node.name.c_str()});
  context.link.check(raw::fstat(fd, info), {"stat device ", node.name.c_str()});
  raw::close(fd);
  const bool same_number = type == S_IFIFO || info.st_rdev == makedev(node.major, node.minor);
  if ((info.st_mode & S_IFMT) != type || !same_number)
    context.link.fail(EEXIST, {"make device ", node.name.c_str(), ": another file is there"});
}

}  // namespace

void make_link(ChildContext& context, const MakeLink& step) noexcept {
  FixedText<256> name;
  const int parent = open_parent(context, step.link.name, name);
  const long result = raw::call(SYS_symlinkat, step.link.target.c_str(), parent, name.c_str());
  if (result < 0 && result != -EEXIST)
    context.link.fail(static_cast<int>(-result), {"make link ", step.link.name.c_str()});
  raw::close(parent);
}

void make_node(ChildContext& context, const MakeNode& step) noexcept {
  const DeviceNode& node = step.node;
  FixedText<256> name;
  const int parent = open_parent(context, node.name, name);
  const unsigned type = node.type == 'b' ? S_IFBLK : node.type == 'p' ? S_IFIFO : S_IFCHR;
  raw::call(SYS_umask, 0);
  const long made = raw::call(SYS_mknodat, parent, name.c_str(), type | (node.mode & 07777U),
                              static_cast<unsigned>(makedev(node.major, node.minor)));
  raw::call(SYS_umask, 022);
  // What is there already is somebody's choice (a volume's /dev); it is left alone.
  if (made == -EEXIST && step.listed) check_node(context, parent, name.c_str(), node, type);
  if (made < 0 && made != -EEXIST) context.link.fail(static_cast<int>(-made), {"make device ", node.name.c_str()});
  if (made >= 0) {
    const long fd = raw::open_below(parent, name.c_str(), O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    context.link.check(static_cast<int>(fd), {"open device ", node.name.c_str()});
    context.link.check(static_cast<int>(raw::call(SYS_fchownat, fd, "", node.uid, node.gid, AT_EMPTY_PATH)),
                       {"chown device ", node.name.c_str()});
    raw::close(static_cast<int>(fd));
  }
  raw::close(parent);
}

int private_proc(ChildContext& context) noexcept {
  if (context.proc >= 0) return context.proc;
  const int fs = raw::fsopen("proc");
  if (fs < 0) return fs;
  int result = raw::fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (result >= 0) result = raw::fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  raw::close(fs);
  if (result >= 0) context.proc = result;
  return result;
}

int write_proc(ChildContext& context, const char* path, const char* text, std::size_t size) noexcept {
  const int proc = private_proc(context);
  if (proc < 0) return proc;
  const int fd = raw::open_below(proc, path, O_WRONLY,
                                 RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  if (fd < 0) return fd;
  const long written = raw::call(SYS_write, fd, text, size);
  raw::close(fd);
  if (written < 0) return static_cast<int>(written);
  return static_cast<std::size_t>(written) == size ? 0 : -EIO;
}

int write_own_proc(ChildContext& context, const char* file, const char* text, std::size_t size) noexcept {
  const int proc = private_proc(context);
  if (proc < 0) return proc;
  // Our number as that procfs counts, which need not be our own pid namespace's.
  char self[32];
  const long length = raw::call(SYS_readlinkat, proc, "self", self, sizeof self);
  if (length <= 0) return length < 0 ? static_cast<int>(length) : -EIO;
  FixedText<128> path;
  path.add(self, static_cast<std::size_t>(length)).add("/").add(file);
  return write_proc(context, path.c_str(), text, size);
}

}  // namespace bryo::runtime::child

#include "runtime/device_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/error.hpp"
#include "kernel/idmap.hpp"
#include "kernel/mounts.hpp"
#include "kernel/raw.hpp"

namespace bryo::runtime {
namespace {

namespace raw = kernel::raw;

class ExactModes {
 public:
  ExactModes() : before_(::umask(0)) {}
  ~ExactModes() { ::umask(before_); }
  ExactModes(const ExactModes&) = delete;
  ExactModes& operator=(const ExactModes&) = delete;

 private:
  mode_t before_;
};

mode_t type_bits(char type) {
  switch (type) {
    case 'b':
      return S_IFBLK;
    case 'p':
      return S_IFIFO;
    default:
      return S_IFCHR;
  }
}

// Nobody else can see this file system yet, so names are safe here; only its own names are used.
class Builder {
 public:
  Builder(const UniqueFd& root, const DeviceTreeSource& tree) : root_(root.get()), tree_(tree) {}

  void build() const {
    own("", tree_.root_uid, tree_.root_gid);
    for (const std::string& name : tree_.directories) make_directory(name);
    for (const DeviceNode& node : tree_.nodes) make_node(node);
    for (const Link& link : tree_.links) {
      if (::symlinkat(link.target.c_str(), root_, link.name.c_str()) != 0) fail_errno("make link /dev/{}", link.name);
      own(link.name, tree_.root_uid, tree_.root_gid);
    }
  }

 private:
  void own(const std::string& name, std::uint32_t uid, std::uint32_t gid) const {
    if (uid == 0 && gid == 0) return;
    if (::fchownat(root_, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
      fail_errno("chown /dev/{}", name);
  }

  void make_directory(const std::string& name) const {
    if (::mkdirat(root_, name.c_str(), 0755) != 0) {
      if (errno == EEXIST) return;
      fail_errno("make directory /dev/{}", name);
    }
    own(name, tree_.root_uid, tree_.root_gid);
  }

  void make_node(const DeviceNode& node) const {
    for (std::size_t cut = node.name.find('/'); cut != std::string::npos; cut = node.name.find('/', cut + 1))
      make_directory(node.name.substr(0, cut));
    if (::mknodat(root_, node.name.c_str(), type_bits(node.type) | (node.mode & 07777),
                  makedev(node.major, node.minor)) != 0)
      fail_errno("make device /dev/{}", node.name);
    own(node.name, node.uid, node.gid);
  }

  int root_;
  const DeviceTreeSource& tree_;
};

}  // namespace

UniqueFd make_device_tree(const DeviceTreeSource& tree) {
  kernel::NewFilesystem tmpfs("tmpfs");
  tmpfs.option("source", "tmpfs");
  for (const std::string& option : tree.options) tmpfs.option(option);
  UniqueFd mount = tmpfs.mount(tree.attributes);
  const ExactModes modes;
  Builder(mount, tree).build();
  return mount;
}

UniqueFd clone_device(const DeviceSource& device) {
  const UniqueFd fd(::open(device.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) fail_errno("open device {}", device.path);
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) fail_errno("stat device {}", device.path);
  if ((info.st_mode & S_IFMT) != type_bits(device.type) || info.st_rdev != makedev(device.major, device.minor))
    fail(ErrorKind::invalid_argument, "device {} is not {} {}:{}", device.path, device.type, device.major,
         device.minor);
  return kernel::clone_tree(fd.get(), "", false);
}

}  // namespace bryo::runtime

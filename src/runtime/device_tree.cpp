#include "runtime/device_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/idmap.hpp"
#include "kernel/mounts.hpp"
#include "kernel/raw.hpp"

namespace bryo::runtime {
namespace {

namespace raw = kernel::raw;

constexpr std::size_t kMaxUevent = 4096;

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
    if (tree_.root_uid != 0 || tree_.root_gid != 0) kernel::change_owner(root_, tree_.root_uid, tree_.root_gid);
    for (const std::string& name : tree_.directories) make_directory(name);
    for (const DeviceNode& node : tree_.nodes) make_node(node);
    for (const Link& link : tree_.links) {
      kernel::make_symlink(link.target, root_, link.name);
      own(link.name, tree_.root_uid, tree_.root_gid);
    }
  }

 private:
  void own(const std::string& name, std::uint32_t uid, std::uint32_t gid) const {
    if (uid != 0 || gid != 0) kernel::change_owner_at(root_, name, uid, gid);
  }

  void make_directory(const std::string& name) const {
    if (!kernel::try_make_directory(root_, name, 0755)) return;
    own(name, tree_.root_uid, tree_.root_gid);
  }

  void make_node(const DeviceNode& node) const {
    for (std::size_t cut = node.name.find('/'); cut != std::string::npos; cut = node.name.find('/', cut + 1))
      make_directory(node.name.substr(0, cut));
    kernel::make_node(root_, node.name, type_bits(node.type) | (node.mode & 07777), makedev(node.major, node.minor));
    own(node.name, node.uid, node.gid);
  }

  int root_;
  const DeviceTreeSource& tree_;
};

// Where the host has this device, when not under the name that the container gets: its own word for it (sysfs, DEVNAME
// of dev/char/MAJOR:MINOR/uevent), or the asked name when there is none.
std::string path_on_host(const DeviceSource& device) {
  if (kernel::try_stat_at(AT_FDCWD, device.path)) return device.path;
  const std::string events =
      fmt::format("/sys/dev/{}/{}:{}/uevent", device.type == 'b' ? "block" : "char", device.major, device.minor);
  if (!kernel::try_stat_at(AT_FDCWD, events)) return device.path;
  const std::string text = kernel::read_file(kernel::open_at(AT_FDCWD, events, O_RDONLY).get(), kMaxUevent);
  constexpr std::string_view kKey = "DEVNAME=";
  for (const std::string_view line : split(text, '\n'))
    if (line.starts_with(kKey)) return "/dev/" + std::string(line.substr(kKey.size()));
  return device.path;
}

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
  const std::string path = path_on_host(device);
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) fail_errno("open device {}", path);
  const struct stat info = kernel::stat_fd(fd.get());
  if ((info.st_mode & S_IFMT) != type_bits(device.type) || info.st_rdev != makedev(device.major, device.minor))
    fail(ErrorKind::invalid_argument, "device {} is not {} {}:{}", device.path, device.type, device.major,
         device.minor);
  return kernel::clone_tree(fd.get(), "", false);
}

}  // namespace bryo::runtime

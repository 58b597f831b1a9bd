// What this host can do, asked once.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/cgroups.hpp"
#include "kernel/rlimits.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime {
namespace {

std::string read_short(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t size = fd ? ::read(fd.get(), text, sizeof text) : -1;
  return size > 0 ? std::string(trim({text, static_cast<std::size_t>(size)})) : "";
}

std::uint32_t kernel_version() {
  struct utsname name = {};
  if (::uname(&name) != 0) return 0;
  const auto parts = split(name.release, '.');
  if (parts.size() < 2) return 0;
  const std::string_view minor = parts[1].substr(0, parts[1].find_first_not_of("0123456789"));
  return parse_integer<std::uint32_t>(parts[0]).value_or(0) * 1000 + parse_integer<std::uint32_t>(minor).value_or(0);
}

void gather_cgroups(HostFacts& facts) {
  const kernel::CgroupLayout layout = kernel::CgroupLayout::once();
  facts.unified_cgroups = layout.version() == kernel::CgroupVersion::v2;
  if (facts.unified_cgroups) return;
  // A container is shown the hierarchies that it has a cgroup in.
  const auto used = kernel::used_hierarchies(layout);
  // Controllers that share a hierarchy share its mount point.
  std::map<std::string, std::string> by_mount_point;
  for (const auto& [controller, mount_point] : layout.hierarchies()) {
    std::string& names = by_mount_point[mount_point];
    names += (names.empty() ? "" : ",") + controller;
  }
  for (const auto& [mount_point, names] : by_mount_point)
    if (std::ranges::find(used, mount_point) != used.end())
      facts.hierarchies.push_back({names, mount_point.substr(mount_point.rfind('/') + 1), mount_point});
}

// What a privileged container gets: all nodes of the host's /dev but terminals and what has file systems of its own.
class DeviceScan {
 public:
  std::vector<DeviceNode> run() {
    visit(UniqueFd(::open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), "/dev", 0);
    std::ranges::sort(nodes_, {}, &DeviceNode::name);
    return std::move(nodes_);
  }

 private:
  static bool skipped(std::string_view name) {
    constexpr std::string_view kSkipped[] = {"/dev/pts",     "/dev/shm",   "/dev/fd",   "/dev/mqueue",     "/dev/.lxc",
                                             "/dev/console", "/dev/.udev", "/dev/ptmx", "/dev/.lxd-mounts"};
    return std::ranges::find(kSkipped, name) != std::end(kSkipped);
  }

  void visit(UniqueFd directory, const std::string& path, int depth) {
    if (!directory || depth > 8) return;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.release()), ::closedir);
    if (!stream) return;
    while (const struct dirent* entry = ::readdir(stream.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") look_at(::dirfd(stream.get()), path, std::string(name), depth);
    }
  }

  void look_at(int directory, const std::string& path, const std::string& name, int depth) {
    const std::string full = path + "/" + name;
    struct stat info = {};
    if (skipped(full) || ::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (S_ISDIR(info.st_mode)) {
      visit(UniqueFd(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)), full,
            depth + 1);
    } else if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
      nodes_.push_back({full.substr(5), S_ISBLK(info.st_mode) ? 'b' : 'c', major(info.st_rdev), minor(info.st_rdev),
                        info.st_mode & 07777, info.st_uid, info.st_gid});
    }
  }

  std::vector<DeviceNode> nodes_;
};

}  // namespace

// The initial user namespace maps everything onto itself in one line.
bool in_user_namespace() {
  static const bool inside = [] {
    const std::string map = read_short("/proc/self/uid_map");
    std::vector<std::string_view> numbers;
    for (const std::string_view word : split(map, ' '))
      if (!word.empty()) numbers.push_back(word);
    return numbers != std::vector<std::string_view>{"0", "0", "4294967295"};
  }();
  return inside;
}

HostFacts gather_host_facts(DeviceNodes nodes) {
  HostFacts facts;
  facts.kernel = kernel_version();
  facts.capabilities = kernel::effective_capabilities();
  facts.last_capability = kernel::last_capability();
  facts.in_user_namespace = in_user_namespace();
  facts.apparmor = read_short("/sys/module/apparmor/parameters/enabled") == "Y";
  facts.selinux = ::access("/sys/fs/selinux/enforce", F_OK) == 0;
  gather_cgroups(facts);
  if (nodes == DeviceNodes::listed) facts.devices = DeviceScan().run();
  struct statfs mqueue = {};
  constexpr long kMqueueMagic = 0x19800202;
  facts.host_mqueue = ::statfs("/dev/mqueue", &mqueue) == 0 && mqueue.f_type == kMqueueMagic;
  return facts;
}

}  // namespace bryo::runtime

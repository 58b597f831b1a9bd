#include "kernel/cgroups.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_devices.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/cgroup_writes.hpp"

namespace bryo::kernel {
namespace {

[[noreturn]] void refuse_missing(const CgroupWrite& write) {
  const std::string controller =
      write.controller.empty() ? write.file.substr(0, write.file.find('.')) : write.controller;
  fail(ErrorKind::unsupported,
       "cannot set the {}: this host has no cgroup controller \"{}\" (file {}); leave the option out, or boot with it",
       write.subject, controller, write.file);
}

// Writes limits one after the other; the directory and the file of the last one stay open for the next.
class LimitWriter {
 public:
  LimitWriter(const CgroupLayout& layout, const std::string& path) : layout_(layout), path_(path) {}

  // Directory of the controller's hierarchy; nullptr when the host lacks it. Throws when the cgroup does not exist.
  const CgroupDirectory* directory(const CgroupWrite& write) {
    const std::string hierarchy = hierarchy_of(layout_, write.controller.empty() ? "memory" : write.controller);
    if (hierarchy.empty()) return nullptr;
    if (!directory_ || hierarchy != hierarchy_) {
      file_.reset();
      directory_ = CgroupDirectory::require(hierarchy + path_);
      hierarchy_ = hierarchy;
    }
    return &*directory_;
  }
  // 0, or the errno of the file that counts.
  int put(const CgroupWrite& write) {
    if (!file_ || write.file != file_name_) {
      file_ = directory_->try_open_for_writing(write.file.c_str());
      file_name_ = write.file;
      if (!file_ && errno == ENOENT && !write.alternative.empty())
        file_ = directory_->try_open_for_writing(write.alternative.c_str());
      if (!file_) return errno;
    }
    return write_value(file_.get(), write.value);
  }

 private:
  const CgroupLayout& layout_;
  const std::string& path_;
  std::string hierarchy_;
  std::optional<CgroupDirectory> directory_;
  std::string file_name_;
  UniqueFd file_;
};

[[noreturn]] void refuse(const CgroupDirectory& directory, const CgroupWrite& write, int number) {
  const auto what =
      fmt::format("set the {} to \"{}\" ({}/{})", write.subject, printable(write.value), directory.path(), write.file);
  if (number == EBUSY && write.controller == "memory")
    fail(ErrorKind::conflict, "{}: the container uses more than that now", what);
  throw Error::from_errno(number, what);
}

bool is(const CgroupWrite& write, const char* file) { return write.file == file; }

void apply(const CgroupLayout& layout, const std::string& path, const std::vector<CgroupWrite>& writes) {
  LimitWriter writer(layout, path);
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const CgroupWrite& write = writes[i];
    const CgroupDirectory* directory = writer.directory(write);
    const int number = directory != nullptr ? writer.put(write) : ENOENT;
    if (number == 0 || write.optional) continue;
    if (number == ENOENT) refuse_missing(write);
    // v1 wants memory <= memory + swap at every moment: when the sum grows, it has to grow first.
    const bool swap_follows = i + 1 < writes.size() && is(writes[i + 1], "memory.memsw.limit_in_bytes");
    if (number == EINVAL && is(write, "memory.limit_in_bytes") && swap_follows && writer.put(writes[i + 1]) == 0 &&
        writer.put(write) == 0)
      continue;
    refuse(*directory, write, number);
  }
}

void apply_limits(const CgroupLayout& layout, const std::string& path, const CgroupLimits& limits) {
  if (layout.version() != CgroupVersion::v2) {
    apply(layout, path, cgroup_writes_v1(limits));
    return;
  }
  apply(layout, path, cgroup_writes_v2(limits));
  if (limits.devices.empty()) return;
  const UniqueFd directory(::open((layout.unified() + path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail_errno("open cgroup {}{}", layout.unified(), path);
  attach_device_rules(directory.get(), closed_device_rules(limits.devices));
}

void collect_pids(const CgroupDirectory& directory, std::vector<pid_t>& out) {
  const auto text = directory.read("cgroup.procs").value_or("");
  for (const auto line : split(text, '\n'))
    if (const auto pid = parse_integer<pid_t>(line); pid && *pid > 0) out.push_back(*pid);
  directory.for_each_child([&](const char* name) {
    if (const auto child = CgroupDirectory::open(directory.path() + "/" + name)) collect_pids(*child, out);
  });
}

}  // namespace

ContainerCgroup ContainerCgroup::create(const CgroupLayout& layout, const std::string& path,
                                        const CgroupLimits& limits) {
  check_cgroup_path(path);
  if (layout.version() == CgroupVersion::none)
    fail(ErrorKind::unsupported, "no cgroup hierarchy is mounted: mount cgroup2 on /sys/fs/cgroup");
  ContainerCgroup cgroup(layout, path);
  try {
    make_everywhere(layout, path);
    apply_limits(layout, path, limits);
  } catch (...) {
    cgroup.remove();
    throw;
  }
  return cgroup;
}

ContainerCgroup ContainerCgroup::open(const CgroupLayout& layout, const std::string& path) {
  check_cgroup_path(path);
  return ContainerCgroup(layout, path);
}

bool ContainerCgroup::exists() const {
  const auto hierarchy = counting_hierarchy(layout_);
  return !hierarchy.empty() && CgroupDirectory::open(hierarchy + path_).has_value();
}

std::vector<UniqueFd> ContainerCgroup::open_procs() const {
  std::vector<UniqueFd> out;
  if (layout_.version() == CgroupVersion::v2) return out;
  for (const auto& hierarchy : used_hierarchies(layout_)) {
    const std::string file = hierarchy + path_ + "/tasks";
    UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) fail(ErrorKind::not_found, "cgroup {}{} does not exist", hierarchy, path_);
    if (!fd) fail_errno("open {} for writing", file);
    out.push_back(std::move(fd));
  }
  return out;
}

std::vector<UniqueFd> ContainerCgroup::open_procs(const std::map<std::string, std::string>& below) const {
  std::map<std::string, std::string> paths;  // hierarchy → cgroup
  for (const auto& [controller, path] : below) {
    const auto hierarchy = layout_.hierarchies().find(controller);
    if (hierarchy == layout_.hierarchies().end())
      fail(ErrorKind::invalid_argument, "controller \"{}\": this host has no hierarchy of its own for it",
           printable(controller));
    const std::string whole = path_ + "/" + path;
    check_cgroup_path(whole);
    if (!paths.emplace(hierarchy->second, whole).second && paths[hierarchy->second] != whole)
      fail(ErrorKind::invalid_argument, "controller \"{}\": shares its hierarchy with one that has another path",
           printable(controller));
  }
  std::vector<UniqueFd> out;
  for (const auto& hierarchy : used_hierarchies(layout_)) {
    const auto other = paths.find(hierarchy);
    const std::string directory = hierarchy + (other == paths.end() ? path_ : other->second);
    if (::access(directory.c_str(), F_OK) != 0) fail(ErrorKind::not_found, "there is no cgroup {}", directory);
    out.push_back(CgroupDirectory::require(directory).open_for_writing("cgroup.procs"));
  }
  return out;
}

UniqueFd ContainerCgroup::open_directory() const {
  if (layout_.version() != CgroupVersion::v2) return {};
  UniqueFd directory(::open((layout_.unified() + path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail_errno("open cgroup {}{}", layout_.unified(), path_);
  return directory;
}

void ContainerCgroup::add(pid_t pid) const {
  for (const auto& hierarchy : used_hierarchies(layout_))
    CgroupDirectory::require(hierarchy + path_).write("cgroup.procs", std::to_string(pid));
}

void ContainerCgroup::update(const CgroupLimits& limits) const { apply_limits(layout_, path_, limits); }

std::vector<pid_t> ContainerCgroup::pids() const {
  std::vector<pid_t> out;
  const auto hierarchy = counting_hierarchy(layout_);
  if (const auto directory = hierarchy.empty() ? std::nullopt : CgroupDirectory::open(hierarchy + path_))
    collect_pids(*directory, out);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool ContainerCgroup::remove() const noexcept try {
  bool gone = true;
  for (const auto& hierarchy : used_hierarchies(layout_)) gone = remove_cgroup_tree(hierarchy + path_) == 0 && gone;
  return gone;
} catch (...) {
  return false;
}

}  // namespace bryo::kernel

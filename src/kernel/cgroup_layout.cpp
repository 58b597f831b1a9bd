#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_mounts.hpp"
#include "kernel/cgroup_places.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::kernel {
namespace {

bool is_option(std::string_view name) {
  for (const std::string_view option :
       {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods"})
    if (name == option) return true;
  return name.starts_with("release_agent=") || name.empty();
}

}  // namespace

CgroupLayout CgroupLayout::detect() { return parse(read_proc_text("/proc/self/mountinfo")); }

const CgroupLayout& CgroupLayout::once() {
  static const CgroupLayout layout = [] {
    auto usual = layout_of_usual_places();
    return usual ? *std::move(usual) : detect();
  }();
  return layout;
}

CgroupLayout CgroupLayout::parse(std::string_view mountinfo) {
  std::map<std::string, std::string> hierarchies;
  std::string unified;
  for (const CgroupMount& mount : cgroup_mounts(mountinfo)) {
    if (mount.type == "cgroup2") {
      if (is_better_mount(mount.point, unified)) unified = mount.point;
      continue;
    }
    for (const auto controller : split(mount.super_options, ',')) {
      if (is_option(controller)) continue;
      auto& place = hierarchies[std::string(controller)];
      if (is_better_mount(mount.point, place)) place = mount.point;
    }
  }
  return from_parts(std::move(hierarchies), std::move(unified));
}

CgroupLayout CgroupLayout::from_parts(std::map<std::string, std::string> hierarchies, std::string unified) {
  CgroupLayout layout;
  layout.v1_ = std::move(hierarchies);
  layout.unified_ = std::move(unified);
  // A hierarchy that only names processes (name=systemd) limits nothing.
  bool controllers = false;
  for (const auto& [name, point] : layout.v1_) controllers = controllers || !name.starts_with("name=");
  if (controllers)
    layout.version_ = layout.unified_.empty() ? CgroupVersion::v1 : CgroupVersion::hybrid;
  else if (!layout.unified_.empty())
    layout.version_ = CgroupVersion::v2;
  return layout;
}

bool CgroupLayout::has(std::string_view controller) const {
  if (version_ != CgroupVersion::v2) {
    const std::string name(controller == "io" ? std::string_view("blkio") : controller);
    return v1_.contains(name);
  }
  // Neither is a controller of its own in v2: every cgroup has them (cgroup.freeze, BPF device programs).
  if (controller == "freezer" || controller == "devices") return true;
  if (controller == "blkio") controller = "io";
  if (controller == "cpuacct") controller = "cpu";
  const auto root = CgroupDirectory::open(unified_);
  const auto names = root ? root->read("cgroup.controllers") : std::nullopt;
  if (!names) return false;
  for (const auto name : split(trim(*names), ' '))
    if (name == controller) return true;
  return false;
}

bool CgroupLayout::limits_swap() const {
  if (version_ == CgroupVersion::v2) {
    // The root has no memory.swap.max: it exists in children where the kernel counts swap.
    return has("memory") && ::access("/proc/swaps", F_OK) == 0;
  }
  const auto found = v1_.find("memory");
  return found != v1_.end() && ::access((found->second + "/memory.memsw.limit_in_bytes").c_str(), F_OK) == 0;
}

}  // namespace bryo::kernel

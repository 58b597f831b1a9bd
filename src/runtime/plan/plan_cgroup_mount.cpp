// A mount of type cgroup. v1: a tmpfs with one directory a hierarchy; v2: the one hierarchy. With a cgroup namespace
// the child mounts the file systems and sees its own cgroup as their root; without, its own directories are bound,
// read-only under a map (CVE-2023-25809).
#include <sys/mount.h>

#include "base/strings.hpp"
#include "runtime/plan/mount_options.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

constexpr std::uint64_t kAttributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

std::uint64_t attributes_of(const PlanBuilder& builder, const MountOptions& options) {
  std::uint64_t attributes = options.all_attributes() | kAttributes;
  if (builder.mapped() && !builder.plan.creates(Namespace::cgroup)) attributes |= MOUNT_ATTR_RDONLY;
  return attributes;
}

void bind_own(PlanBuilder& builder, const std::string& mount_point, const std::string& target,
              std::uint64_t attributes) {
  BindSource source;
  source.path = mount_point + builder.options.cgroup_path;
  source.attributes.set = attributes;
  source.attributes.propagation = MS_PRIVATE;
  builder.step(AttachSource{builder.add_source(std::move(source)), target});
}

void plan_unified(PlanBuilder& builder, const std::string& target, std::uint64_t attributes) {
  if (builder.plan.find(Namespace::cgroup) != nullptr)
    builder.step(MountFilesystem{"cgroup2", "cgroup", {}, attributes, 0, target});
  else
    bind_own(builder, "/sys/fs/cgroup", target, attributes);
}

DeviceTreeSource hierarchy_directories(const PlanBuilder& builder) {
  DeviceTreeSource tree;
  tree.options = {"mode=755", "size=64k"};
  tree.attributes = kAttributes;
  tree.root_uid = host_id(builder.plan.maps.uid, 0);
  tree.root_gid = host_id(builder.plan.maps.gid, 0);
  for (const CgroupHierarchy& hierarchy : builder.facts.hierarchies) {
    tree.directories.push_back(hierarchy.mount_name);
    // "cpu,cpuacct" is also found under its parts' names.
    const auto parts = split(hierarchy.mount_name, ',');
    if (parts.size() > 1)
      for (const std::string_view part : parts) tree.links.push_back({std::string(part), hierarchy.mount_name});
  }
  return tree;
}

std::vector<std::string> hierarchy_options(const CgroupHierarchy& hierarchy) {
  std::vector<std::string> options;
  if (hierarchy.name.starts_with("name=")) return {"none", hierarchy.name};
  for (const std::string_view part : split(hierarchy.name, ',')) options.emplace_back(part);
  return options;
}

void plan_hierarchies(PlanBuilder& builder, const std::string& target, std::uint64_t attributes) {
  builder.step(AttachSource{builder.add_source(hierarchy_directories(builder)), target});
  for (const CgroupHierarchy& hierarchy : builder.facts.hierarchies) {
    const std::string below = target + "/" + hierarchy.mount_name;
    if (builder.plan.find(Namespace::cgroup) != nullptr)
      builder.step(MountFilesystem{"cgroup", "cgroup", hierarchy_options(hierarchy), attributes, 0, below});
    else if (hierarchy.holds_containers)
      bind_own(builder, hierarchy.mount_point, below, attributes);
  }
  MountAttributes read_only;
  read_only.set = MOUNT_ATTR_RDONLY;
  if ((attributes & MOUNT_ATTR_RDONLY) != 0) builder.at_end.emplace_back(ChangeMount{target, read_only});
}

}  // namespace

void plan_cgroup_mount(PlanBuilder& builder, const oci::Mount& mount, const std::string& target) {
  const std::uint64_t attributes = attributes_of(builder, parse_mount_options(mount.options));
  if (builder.facts.unified_cgroups)
    plan_unified(builder, target, attributes);
  else if (!builder.facts.hierarchies.empty())
    plan_hierarchies(builder, target, attributes);
  else
    builder.warn(fmt::format("{} is left out: this host has no cgroups", target));
}

}  // namespace bryo::runtime

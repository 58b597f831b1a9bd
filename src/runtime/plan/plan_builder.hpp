// The plan while it is being made, and what its parts need to know. Internal to make_plan.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "oci/runtime_spec.hpp"
#include "runtime/launch_plan.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime {

struct PlanBuilder {
  const oci::RuntimeSpec& spec;
  const oci::Linux& os;
  const HostFacts& facts;
  const PlanOptions& options;
  LaunchPlan plan;
  // Mounts that become read-only when all is in place.
  std::vector<Step> at_end;

  bool mapped() const { return plan.find(Namespace::user) != nullptr; }
  std::uint32_t add_source(Source source) {
    plan.sources.push_back(std::move(source));
    return static_cast<std::uint32_t>(plan.sources.size() - 1);
  }
  template <typename StepKind>
  void step(StepKind value) {
    plan.steps.emplace_back(std::move(value));
  }
  void warn(std::string text) { plan.warnings.push_back(std::move(text)); }
};

// The host's id of a container id; UINT32_MAX when the map lacks it.
std::uint32_t host_id(const std::string& map, std::uint32_t inside);

// Refuses NUL: every text becomes a C string. Returns its argument.
const std::string& checked_text(const std::string& text, std::string_view field);
// A SELinux context that the policy knows; empty is none.
void checked_context(const std::string& context, std::string_view field);
// Absolute, without ".", ".." or double slashes.
std::string clean_path(const std::string& path, std::string_view field);

// Where a mount goes. A relative destination counts from "/" (config.md, "Mounts").
std::string mount_target(const oci::Mount& mount, std::string_view field);
// Ranges that are not empty, fit into 32 bits and do not overlap.
void check_mappings(const std::vector<oci::LinuxIdMapping>& mappings, std::string_view field, bool host_root_allowed);
// "0-3,7" as /sys and cpuset(7) write lists of CPUs.
CpuSet parse_cpus(const std::string& text, std::string_view field);

// --- parts ---
void plan_namespaces(PlanBuilder& builder);
void plan_mounts(PlanBuilder& builder);
void plan_devices(PlanBuilder& builder);
// The tmpfs of /dev with all nodes and links; `options` of the mount on /dev.
DeviceTreeSource device_tree(const PlanBuilder& builder, const oci::Mount& mount);
void plan_cgroup_mount(PlanBuilder& builder, const oci::Mount& mount, const std::string& target);
void plan_sysctls(PlanBuilder& builder);
void plan_resctrl(PlanBuilder& builder);
ProcessPlan plan_process(const oci::Process& process, const oci::Linux& os, const HostFacts& facts,
                         const PlanOptions& options, const MapTexts& maps, std::vector<std::string>& warnings);
MapTexts map_texts(const oci::Linux& os);

}  // namespace bryo::runtime

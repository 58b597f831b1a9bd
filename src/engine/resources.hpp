// Limits: from Docker's HostConfig to what the cgroups take. Checked when a container is created or updated, so that a
// start does not fail for a number; a limit whose controller this host lacks is an error, never dropped
// (architecture.md, point 7).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/types/host_config.hpp"
#include "kernel/cgroups.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::engine {

void check_resources(Resources& resources, const runtime::HostFacts& facts, const kernel::CgroupLayout& cgroups,
                     std::vector<std::string>& warnings);
// Without devices: those come from cgroup_devices().
kernel::CgroupLimits cgroup_limits(const Resources& resources);
// Deny all, then what every container gets, then --device and --device-cgroup-rule. Empty when privileged on the host.
std::vector<kernel::CgroupDeviceRule> cgroup_devices(const HostConfig& host);

// "SIGTERM", "TERM", "15". Error{invalid_argument} "invalid signal: x".
int parse_signal(std::string_view text);

}  // namespace bryo::engine

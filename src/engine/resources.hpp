// Limits: from Docker's HostConfig to what the cgroups take. Checked when a container is created or updated, so that a
// start does not fail for a number; a limit whose controller this host lacks is an error, never dropped
// (architecture.md, point 7).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types/host_config.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::engine {

// Which limits this engine can keep, and what becomes of the others.
struct LimitRules {
  const kernel::CgroupLayout& cgroups;
  bool strict = true;        // false: they are left out, with a warning
  bool device_rules = true;  // may it say which device numbers a container may use?
  // Why a controller is missing and the command that changes it; "" stands for device rules.
  std::function<std::string(std::string_view controller)> remedy = [](std::string_view) {
    return "this host does not have it";
  };
};

void check_resources(Resources& resources, const LimitRules& rules, std::vector<std::string>& warnings);
// Only what depends on the host of now: again before each start. Error{unsupported} names the option, the controller
// and the remedy; with warnings instead, what cannot be kept is gone from `resources`.
void settle_limits(Resources& resources, const LimitRules& rules, std::vector<std::string>& warnings);
// Without devices: those come from cgroup_devices().
kernel::CgroupLimits cgroup_limits(const Resources& resources);
// Deny all, then what every container gets, then --device and --device-cgroup-rule. Empty when privileged on the host.
std::vector<kernel::CgroupDeviceRule> cgroup_devices(const HostConfig& host);

// "SIGTERM", "TERM", "15". Error{invalid_argument} "invalid signal: x".
int parse_signal(std::string_view text);

}  // namespace bryo::engine

// The systemd cgroup driver: a container's cgroup as a scope that systemd's manager makes and gives away (Delegate).
// Names and properties only; the conversation is kernel/systemd_manager's.
#pragma once

#include <string>
#include <vector>

#include "kernel/bus_message.hpp"
#include "kernel/cgroups.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::runtime::command {

using kernel::UnitProperty;

// linux.cgroupsPath "slice:prefix:name".
struct SystemdPlace {
  std::string slice;  // "system.slice"
  std::string unit;   // "bryo-ID.scope"
  std::string path;   // "/system.slice/bryo-ID.scope", below the manager's own cgroup
};
// An empty path means bryo-ID.scope in `default_slice`. Error{invalid_argument} for another form.
SystemdPlace systemd_place(const std::string& cgroups_path, const std::string& id, const std::string& default_slice);

// What systemd has to know so that it does not write other limits over ours. `version`: v2 has other names.
std::vector<UnitProperty> limit_properties(const oci::LinuxResources& resources, kernel::CgroupVersion version);
std::vector<UnitProperty> scope_properties(const SystemdPlace& place, const std::string& id, pid_t pid,
                                           const oci::LinuxResources& resources, kernel::CgroupVersion version);

}  // namespace bryo::runtime::command

// The systemd cgroup driver: a container's cgroup as a scope that systemd's manager makes and gives away (Delegate).
// Names and properties only; the conversation is kernel/systemd_manager's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/bus_message.hpp"
#include "kernel/cgroup_limits.hpp"
#include "kernel/cgroups.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::runtime::command {

using kernel::BusTree;
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
// The device list, so that systemd does not replace it by none when it reloads. Empty when its words cannot say it:
// systemd then leaves devices alone, and the cgroup's own list holds. `proc_devices`: the content of /proc/devices.
std::vector<UnitProperty> device_properties(const std::vector<kernel::CgroupDeviceRule>& rules,
                                            std::string_view proc_devices);
// Those of annotations org.systemd.property.NAME; Error{invalid_argument} names the annotation.
std::vector<UnitProperty> annotation_properties(const std::map<std::string, std::string>& annotations);
// All of a new scope; `others` (devices, annotations) come before the limits, of which the last word is the cgroup's.
std::vector<UnitProperty> scope_properties(const SystemdPlace& place, const std::string& id, pid_t pid,
                                           const oci::LinuxResources& resources, kernel::CgroupVersion version,
                                           const std::vector<UnitProperty>& others = {});

}  // namespace bryo::runtime::command

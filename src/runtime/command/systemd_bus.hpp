// The systemd cgroup driver: a container's cgroup as a scope (or slice) that systemd's manager makes and gives away
// (Delegate). org.freedesktop.systemd1(5); systemd's "The New Control Group Interfaces".
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/cgroup_limits.hpp"
#include "kernel/cgroups.hpp"
#include "oci/runtime_spec.hpp"
#include "runtime/command/bus_message.hpp"

namespace bryo::runtime::command {

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

// A connection to the manager itself, or to a bus. Blocking, with a deadline for every wait.
class SystemdManager {
 public:
  // The user's own manager, or the system's; Error{unavailable} says where it was looked for and what to do.
  static SystemdManager connect(bool user);
  // For tests: this socket; `bus`: a message bus is there, not the manager itself.
  static SystemdManager connect_to(const std::string& socket_path, bool bus);

  // Returns when its job is done.
  void start_unit(const std::string& name, const std::vector<UnitProperty>& properties);
  void set_properties(const std::string& name, const std::vector<UnitProperty>& properties);
  // Also when there is none any more.
  void stop_unit(const std::string& name);
  // Where the manager's own units are ("/" or "/user.slice/user-1000.slice/user@1000.service").
  std::string control_group();

 private:
  explicit SystemdManager(UniqueFd socket) : socket_(std::move(socket)) {}
  void authenticate();
  void greet_bus();
  std::string read_line();
  BusMessage call(const std::string& interface, const std::string& member, const std::string& signature,
                  const BusWriter& body);
  BusMessage call_bus(const std::string& member, const std::string& text);
  BusMessage exchange(const BusCall& call);
  BusMessage receive();
  void wait_for_job(const std::string& job, const std::string& unit, const char* what);
  void send(std::span<const std::byte> bytes);
  void read_exactly(std::span<std::byte> out);

  UniqueFd socket_;
  std::uint32_t serial_ = 0;
  // Signals that came while a reply was awaited.
  std::deque<BusMessage> signals_;
};

}  // namespace bryo::runtime::command

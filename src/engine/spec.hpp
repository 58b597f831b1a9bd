// A container's record → the OCI runtime spec of its next start: Docker's defaults, then what was asked for. Reads the
// host only for devices and for the files of other containers' namespaces, which the caller hands in.
#pragma once

#include <map>
#include <string>

#include "engine/record.hpp"
#include "engine/types/requests.hpp"
#include "oci/cdi/spec.hpp"
#include "oci/runtime_spec.hpp"
#include "runtime/launch_plan.hpp"
#include "runtime/make_plan.hpp"
#include "storage/snapshot_driver.hpp"

namespace bryo::engine {

// What a start has found out before the spec is built.
struct SpecInputs {
  const Record* record = nullptr;
  ResolvedUser user;
  // "network", "pid", "ipc", "user" … → /proc/PID/ns/x of the container that it shares with.
  std::map<std::string, std::string> joined;
  // Host files that become /etc/hosts, /etc/hostname, /etc/resolv.conf; destination → source.
  std::map<std::string, std::string> files;
  // What the container has in place of the host's, if its UTS namespace is its own, and $HOSTNAME in any case.
  std::string hostname;
  std::string domainname;
  // Destination → detached content for volumes with a file system of their own.
  std::string cgroup_path;
  const runtime::HostFacts* facts = nullptr;
  std::vector<Ulimit> default_ulimits;
  std::string seccomp_profile;  // daemon-wide: "", unconfined or JSON
  std::string apparmor;         // AppArmor::profile_of()
  bool no_new_privileges = false;
  bool init = false;
  bool rootless = false;
  oci::cdi::ContainerEdits cdi;  // of a start: what devices by name need
  bool bypass = false;           // connect() is held for the helper (bypass.hpp)
};

oci::RuntimeSpec build_spec(const SpecInputs& inputs);
// What an exec needs to know of the container's: namespaces, maps, a seccomp profile of its own.
oci::RuntimeSpec build_exec_spec(const SpecInputs& inputs);
// Bits of the capabilities for which Docker's default seccomp profile is to be made; nullopt when the user has chosen
// another one (build_spec has it), none, or a bypass.
std::optional<std::uint64_t> default_seccomp(const SpecInputs& inputs);
// One more process (exec) by the container's rules.
oci::Process build_process(const SpecInputs& inputs, const ExecCreateRequest& exec, const ResolvedUser& user);

runtime::RootfsSource to_rootfs_source(const storage::RootfsDescription& from);

// Capabilities after --privileged, --cap-add and --cap-drop: names with CAP_. Error{invalid_argument} for unknown
// names.
std::vector<std::string> effective_capabilities(const HostConfig& host);

// --security-opt nested (or nested=true: Docker's client takes no single word but its own): for a container in which an
// engine runs. It needs what --privileged means under a map, without the host's devices: every capability of its own
// user namespace, a /proc without masks (the kernel lets nobody mount a fuller one than he sees), its own cgroup to
// divide where the user has one, and the system calls that make containers. Only under a map.
inline constexpr std::string_view kNestedOption = "nested";
bool is_nested(const HostConfig& host);

}  // namespace bryo::engine

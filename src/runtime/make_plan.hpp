// OCI spec + facts of the host + root file system → LaunchPlan. Pure: reads no file, makes no system call, so it is
// tested without a kernel. Only bryod and bryo-oci link it (library bryo_runtime_plan); the monitor gets the result.
//
// Throws Error{invalid_argument} that names the field of the spec ("mounts[3].destination: …") and Error{unsupported}
// for what this host cannot do. What may be left out becomes a warning of the plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "oci/runtime_spec.hpp"
#include "runtime/launch_hooks.hpp"
#include "runtime/launch_plan.hpp"

namespace bryo::runtime {

struct CgroupHierarchy {
  std::string name;         // "memory", "cpu,cpuacct", "name=systemd"; empty for v2
  std::string mount_name;   // the directory below /sys/fs/cgroup: "memory", "cpu,cpuacct", "systemd"
  std::string mount_point;  // on the host
};

struct HostFacts {
  // 6.18 → 6018
  std::uint32_t kernel = 0;
  // Effective capabilities of the launcher, and the highest number that this kernel knows.
  std::uint64_t capabilities = 0;
  std::uint32_t last_capability = 40;
  // The launcher itself is root of a user namespace only: no mknod, no device nodes of its own.
  bool in_user_namespace = false;
  bool apparmor = false;
  bool selinux = false;
  bool unified_cgroups = false;  // v2 only
  std::vector<CgroupHierarchy>
      hierarchies;  // v1, those in which a container gets a cgroup (and the v2 one of a hybrid host is not among them)
  // Nodes of the host's /dev for privileged containers; names relative to /dev, owners as the host counts.
  std::vector<DeviceNode> devices;
  bool host_mqueue = false;  // /dev/mqueue is mounted
  std::string resctrl;       // where Intel's resctrl is mounted; asked for only when a spec wants it
};

// The caller is not in the initial user namespace, which maps every id onto itself.
bool in_user_namespace();
// Reads the facts of this host: some 0.2 ms with the device nodes, so keep them.
enum class DeviceNodes { listed, left_out };
HostFacts gather_host_facts(DeviceNodes nodes = DeviceNodes::listed);

struct PlanOptions {
  // The container's cgroup ("/bryo/<id>"), for cgroup mounts without a cgroup namespace.
  std::string cgroup_path;
  // Path of a static init on the host, bound to /sbin/docker-init when given (the caller prepends it to args).
  std::string init_program;
  // Name of the session keyring; empty = "_ses.<hostname>" style default; see no_new_keyring.
  std::string keyring_name;
  bool no_new_keyring = false;
  // /proc/self/mountinfo in the container shows /dev behind the mounts that the spec has before it. Costs one more
  // mount.
  bool mounts_in_order = false;
  // Docker's default seccomp profile for these capabilities (bit n = capability n) instead of the spec's linux.seccomp:
  // made and compiled once for every set of them.
  std::optional<std::uint64_t> default_seccomp;
  // Where config.json lies: sources of binds may be relative to it. Empty: they must be absolute.
  std::string bundle;
  // Names what is made for this container alone (resctrl).
  std::string container_id;
};

// The maps of a user namespace that is joined by path, written into the spec when it names none: what else needs them
// (devices, volumes, the owner of /dev) reads them there. Asks the kernel, so it comes before make_plan. True when it
// has written something.
bool complete_mappings(oci::RuntimeSpec& spec);

// Directories of resctrl that were made for this container: what `delete` removes.
std::vector<std::string> resctrl_leftovers(const oci::RuntimeSpec& spec, const std::string& resctrl,
                                           const std::string& container_id);

// Error{invalid_argument} names the hook that has no absolute path, or a timeout that is none.
HookSet hooks_of(const oci::RuntimeSpec& spec);

// With this annotation the launcher's supplementary groups stay and none are set (crun(1), "EXTENSIONS").
inline constexpr std::string_view kKeepGroupsAnnotation = "run.oci.keep_original_groups";

LaunchPlan make_plan(const oci::RuntimeSpec& spec, const HostFacts& facts, const RootfsSource& rootfs,
                     const PlanOptions& options = {});

// A further process in a container made from `spec`: its own capabilities, user and environment are `process`'s; the
// seccomp profile, the map and what was masked are the container's.
ExecPlan make_exec_plan(const oci::Process& process, const oci::RuntimeSpec& spec, const HostFacts& facts,
                        const PlanOptions& options = {});

}  // namespace bryo::runtime

// The OCI runtime specification 1.2 (config.md, config-linux.md) as plain structs: what the engine fills in and what
// `bryo-oci` reads from config.json. No JSON here: runtime_spec_json.hpp holds the mapping, which only programs that
// read or write config.json link.
//
// Names follow the specification, in snake case. An empty string, vector or nullopt means "not given". Values are not
// checked here: runtime/make_plan does that, and its errors name the field.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bryo::oci {

inline constexpr const char* kRuntimeSpecVersion = "1.2.0";

// config-linux.md, "User namespace mappings".
struct LinuxIdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
  bool operator==(const LinuxIdMapping&) const = default;
};

struct Root {
  std::string path;
  bool readonly = false;
};

// config.md, "Mounts". Options are mount(8)'s words: "ro", "nosuid", "rbind", "rslave", "size=65536k", "idmap"…
struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
  std::vector<LinuxIdMapping> uid_mappings;
  std::vector<LinuxIdMapping> gid_mappings;
};

struct Box {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
};

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
  std::string username;  // Windows only; kept so that it is not lost
};

// Names such as "CAP_CHOWN".
struct LinuxCapabilities {
  std::vector<std::string> bounding;
  std::vector<std::string> effective;
  std::vector<std::string> inheritable;
  std::vector<std::string> permitted;
  std::vector<std::string> ambient;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  std::uint64_t hard = 0;
  std::uint64_t soft = 0;
};

struct Scheduler {
  std::string policy;  // "SCHED_OTHER", "SCHED_BATCH"…
  std::int32_t nice = 0;
  std::int32_t priority = 0;
  std::vector<std::string> flags;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};

struct IoPriority {
  std::string io_class;  // "IOPRIO_CLASS_BE"…
  std::int32_t priority = 0;
};

struct ExecCpuAffinity {
  std::string initial;
  std::string final;
};

struct Process {
  bool terminal = false;
  std::optional<Box> console_size;
  User user;
  std::vector<std::string> args;
  std::string command_line;  // Windows only
  std::vector<std::string> env;
  std::string cwd;
  std::optional<LinuxCapabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::string selinux_label;
  std::optional<IoPriority> io_priority;
  std::optional<ExecCpuAffinity> exec_cpu_affinity;
};

struct Hook {
  std::string path;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<int> timeout;  // seconds
};

struct Hooks {
  std::vector<Hook> prestart;
  std::vector<Hook> create_runtime;
  std::vector<Hook> create_container;
  std::vector<Hook> start_container;
  std::vector<Hook> poststart;
  std::vector<Hook> poststop;
};

// type: "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"; an empty path means a new one.
struct LinuxNamespace {
  std::string type;
  std::string path;
};

struct LinuxDevice {
  std::string path;
  std::string type;  // "c", "b", "u", "p"
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
};

struct LinuxDeviceCgroup {
  bool allow = false;
  std::string type;  // "a", "c", "b"; empty means "a"
  std::optional<std::int64_t> major;
  std::optional<std::int64_t> minor;
  std::string access;  // of "rwm"; empty means all
};

struct LinuxMemory {
  std::optional<std::int64_t> limit;
  std::optional<std::int64_t> reservation;
  std::optional<std::int64_t> swap;
  std::optional<std::int64_t> kernel;
  std::optional<std::int64_t> kernel_tcp;
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer;
  std::optional<bool> use_hierarchy;
  std::optional<bool> check_before_update;
};

struct LinuxCpu {
  std::optional<std::uint64_t> shares;
  std::optional<std::int64_t> quota;
  std::optional<std::uint64_t> burst;
  std::optional<std::uint64_t> period;
  std::optional<std::int64_t> realtime_runtime;
  std::optional<std::uint64_t> realtime_period;
  std::string cpus;
  std::string mems;
  std::optional<std::int64_t> idle;
};

struct LinuxPids {
  std::optional<std::int64_t> limit;
};

struct LinuxWeightDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
};

struct LinuxThrottleDevice {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  std::uint64_t rate = 0;
};

struct LinuxBlockIo {
  std::optional<std::uint16_t> weight;
  std::optional<std::uint16_t> leaf_weight;
  std::vector<LinuxWeightDevice> weight_device;
  std::vector<LinuxThrottleDevice> throttle_read_bps_device;
  std::vector<LinuxThrottleDevice> throttle_write_bps_device;
  std::vector<LinuxThrottleDevice> throttle_read_iops_device;
  std::vector<LinuxThrottleDevice> throttle_write_iops_device;
};

struct LinuxHugepageLimit {
  std::string page_size;
  std::uint64_t limit = 0;
};

struct LinuxInterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
};

struct LinuxNetwork {
  std::optional<std::uint32_t> class_id;
  std::vector<LinuxInterfacePriority> priorities;
};

struct LinuxRdma {
  std::optional<std::uint32_t> hca_handles;
  std::optional<std::uint32_t> hca_objects;
};

// config-linux.md, "Control groups". Absent members are left as the kernel has them.
struct LinuxResources {
  std::vector<LinuxDeviceCgroup> devices;
  std::optional<LinuxMemory> memory;
  std::optional<LinuxCpu> cpu;
  std::optional<LinuxPids> pids;
  std::optional<LinuxBlockIo> block_io;
  std::vector<LinuxHugepageLimit> hugepage_limits;
  std::optional<LinuxNetwork> network;
  std::map<std::string, LinuxRdma> rdma;
  std::map<std::string, std::string> unified;
};

struct LinuxSeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;
  std::string op;  // "SCMP_CMP_EQ"…
};

struct LinuxSyscall {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW"…
  std::optional<std::uint32_t> errno_ret;
  std::vector<LinuxSeccompArg> args;
};

struct LinuxSeccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"…
  std::vector<std::string> flags;          // "SECCOMP_FILTER_FLAG_LOG"…
  std::string listener_path;
  std::string listener_metadata;
  std::vector<LinuxSyscall> syscalls;
};

struct LinuxIntelRdt {
  std::string clos_id;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  bool enable_cmt = false;
  bool enable_mbm = false;
  // Of 1.3:
  std::vector<std::string> schemata;
  bool enable_monitoring = false;
};

struct LinuxPersonality {
  std::string domain;  // "LINUX", "LINUX32"
  std::vector<std::string> flags;
};

struct LinuxTimeOffset {
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
};

struct Linux {
  std::vector<LinuxIdMapping> uid_mappings;
  std::vector<LinuxIdMapping> gid_mappings;
  std::map<std::string, std::string> sysctl;
  std::optional<LinuxResources> resources;
  std::string cgroups_path;
  std::vector<LinuxNamespace> namespaces;
  std::vector<LinuxDevice> devices;
  std::optional<LinuxSeccomp> seccomp;
  std::string rootfs_propagation;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
  std::optional<LinuxIntelRdt> intel_rdt;
  std::optional<LinuxPersonality> personality;
  std::map<std::string, LinuxTimeOffset> time_offsets;  // "monotonic", "boottime"
};

struct RuntimeSpec {
  std::string oci_version = kRuntimeSpecVersion;
  std::optional<Process> process;
  std::optional<Root> root;
  std::string hostname;
  std::string domainname;
  std::vector<Mount> mounts;
  std::optional<Hooks> hooks;
  std::map<std::string, std::string> annotations;
  // "linux" is a macro of some compilers' GNU dialects.
  std::optional<Linux> linux_;
};

}  // namespace bryo::oci

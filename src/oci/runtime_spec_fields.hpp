// The JSON names of the OCI runtime specification: one description for reading and writing.
#pragma once

#include "base/json.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::json {

template <>
struct Fields<oci::LinuxIdMapping> {
  using T = oci::LinuxIdMapping;
  static constexpr auto list =
      std::tuple{field("containerID", &T::container_id), field("hostID", &T::host_id), field("size", &T::size)};
};
template <>
struct Fields<oci::Root> {
  using T = oci::Root;
  static constexpr auto list = std::tuple{field("path", &T::path), field("readonly", &T::readonly, omit_empty)};
};
template <>
struct Fields<oci::Mount> {
  using T = oci::Mount;
  static constexpr auto list = std::tuple{field("destination", &T::destination),
                                          field("type", &T::type, omit_empty),
                                          field("source", &T::source, omit_empty),
                                          field("options", &T::options, omit_empty),
                                          field("uidMappings", &T::uid_mappings, omit_empty),
                                          field("gidMappings", &T::gid_mappings, omit_empty)};
};
template <>
struct Fields<oci::Box> {
  using T = oci::Box;
  static constexpr auto list = std::tuple{field("height", &T::height), field("width", &T::width)};
};
template <>
struct Fields<oci::User> {
  using T = oci::User;
  static constexpr auto list =
      std::tuple{field("uid", &T::uid), field("gid", &T::gid), field("umask", &T::umask, omit_empty),
                 field("additionalGids", &T::additional_gids, omit_empty), field("username", &T::username, omit_empty)};
};
template <>
struct Fields<oci::LinuxCapabilities> {
  using T = oci::LinuxCapabilities;
  static constexpr auto list =
      std::tuple{field("bounding", &T::bounding, omit_empty), field("effective", &T::effective, omit_empty),
                 field("inheritable", &T::inheritable, omit_empty), field("permitted", &T::permitted, omit_empty),
                 field("ambient", &T::ambient, omit_empty)};
};
template <>
struct Fields<oci::Rlimit> {
  using T = oci::Rlimit;
  static constexpr auto list = std::tuple{field("type", &T::type), field("hard", &T::hard), field("soft", &T::soft)};
};
template <>
struct Fields<oci::Scheduler> {
  using T = oci::Scheduler;
  static constexpr auto list = std::tuple{field("policy", &T::policy),
                                          field("nice", &T::nice, omit_empty),
                                          field("priority", &T::priority, omit_empty),
                                          field("flags", &T::flags, omit_empty),
                                          field("runtime", &T::runtime, omit_empty),
                                          field("deadline", &T::deadline, omit_empty),
                                          field("period", &T::period, omit_empty)};
};
template <>
struct Fields<oci::IoPriority> {
  using T = oci::IoPriority;
  static constexpr auto list = std::tuple{field("class", &T::io_class), field("priority", &T::priority)};
};
template <>
struct Fields<oci::ExecCpuAffinity> {
  using T = oci::ExecCpuAffinity;
  static constexpr auto list =
      std::tuple{field("initial", &T::initial, omit_empty), field("final", &T::final, omit_empty)};
};
template <>
struct Fields<oci::Process> {
  using T = oci::Process;
  static constexpr auto list = std::tuple{field("terminal", &T::terminal, omit_empty),
                                          field("consoleSize", &T::console_size, omit_empty),
                                          field("user", &T::user),
                                          field("args", &T::args, omit_empty),
                                          field("commandLine", &T::command_line, omit_empty),
                                          field("env", &T::env, omit_empty),
                                          field("cwd", &T::cwd),
                                          field("capabilities", &T::capabilities, omit_empty),
                                          field("rlimits", &T::rlimits, omit_empty),
                                          field("noNewPrivileges", &T::no_new_privileges, omit_empty),
                                          field("apparmorProfile", &T::apparmor_profile, omit_empty),
                                          field("oomScoreAdj", &T::oom_score_adj, omit_empty),
                                          field("scheduler", &T::scheduler, omit_empty),
                                          field("selinuxLabel", &T::selinux_label, omit_empty),
                                          field("ioPriority", &T::io_priority, omit_empty),
                                          field("execCPUAffinity", &T::exec_cpu_affinity, omit_empty)};
};
template <>
struct Fields<oci::Hook> {
  using T = oci::Hook;
  static constexpr auto list = std::tuple{field("path", &T::path), field("args", &T::args, omit_empty),
                                          field("env", &T::env, omit_empty), field("timeout", &T::timeout, omit_empty)};
};
template <>
struct Fields<oci::Hooks> {
  using T = oci::Hooks;
  static constexpr auto list = std::tuple{field("prestart", &T::prestart, omit_empty),
                                          field("createRuntime", &T::create_runtime, omit_empty),
                                          field("createContainer", &T::create_container, omit_empty),
                                          field("startContainer", &T::start_container, omit_empty),
                                          field("poststart", &T::poststart, omit_empty),
                                          field("poststop", &T::poststop, omit_empty)};
};
template <>
struct Fields<oci::LinuxNamespace> {
  using T = oci::LinuxNamespace;
  static constexpr auto list = std::tuple{field("type", &T::type), field("path", &T::path, omit_empty)};
};
template <>
struct Fields<oci::LinuxDevice> {
  using T = oci::LinuxDevice;
  static constexpr auto list = std::tuple{field("path", &T::path),
                                          field("type", &T::type),
                                          field("major", &T::major, omit_empty),
                                          field("minor", &T::minor, omit_empty),
                                          field("fileMode", &T::file_mode, omit_empty),
                                          field("uid", &T::uid, omit_empty),
                                          field("gid", &T::gid, omit_empty)};
};
template <>
struct Fields<oci::LinuxDeviceCgroup> {
  using T = oci::LinuxDeviceCgroup;
  static constexpr auto list =
      std::tuple{field("allow", &T::allow), field("type", &T::type, omit_empty), field("major", &T::major, omit_empty),
                 field("minor", &T::minor, omit_empty), field("access", &T::access, omit_empty)};
};
template <>
struct Fields<oci::LinuxMemory> {
  using T = oci::LinuxMemory;
  static constexpr auto list = std::tuple{field("limit", &T::limit, omit_empty),
                                          field("reservation", &T::reservation, omit_empty),
                                          field("swap", &T::swap, omit_empty),
                                          field("kernel", &T::kernel, omit_empty),
                                          field("kernelTCP", &T::kernel_tcp, omit_empty),
                                          field("swappiness", &T::swappiness, omit_empty),
                                          field("disableOOMKiller", &T::disable_oom_killer, omit_empty),
                                          field("useHierarchy", &T::use_hierarchy, omit_empty),
                                          field("checkBeforeUpdate", &T::check_before_update, omit_empty)};
};
template <>
struct Fields<oci::LinuxCpu> {
  using T = oci::LinuxCpu;
  static constexpr auto list = std::tuple{field("shares", &T::shares, omit_empty),
                                          field("quota", &T::quota, omit_empty),
                                          field("burst", &T::burst, omit_empty),
                                          field("period", &T::period, omit_empty),
                                          field("realtimeRuntime", &T::realtime_runtime, omit_empty),
                                          field("realtimePeriod", &T::realtime_period, omit_empty),
                                          field("cpus", &T::cpus, omit_empty),
                                          field("mems", &T::mems, omit_empty),
                                          field("idle", &T::idle, omit_empty)};
};
template <>
struct Fields<oci::LinuxPids> {
  static constexpr auto list = std::tuple{field("limit", &oci::LinuxPids::limit, omit_empty)};
};
template <>
struct Fields<oci::LinuxWeightDevice> {
  using T = oci::LinuxWeightDevice;
  static constexpr auto list =
      std::tuple{field("major", &T::major), field("minor", &T::minor), field("weight", &T::weight, omit_empty),
                 field("leafWeight", &T::leaf_weight, omit_empty)};
};
template <>
struct Fields<oci::LinuxThrottleDevice> {
  using T = oci::LinuxThrottleDevice;
  static constexpr auto list =
      std::tuple{field("major", &T::major), field("minor", &T::minor), field("rate", &T::rate)};
};
template <>
struct Fields<oci::LinuxBlockIo> {
  using T = oci::LinuxBlockIo;
  static constexpr auto list = std::tuple{field("weight", &T::weight, omit_empty),
                                          field("leafWeight", &T::leaf_weight, omit_empty),
                                          field("weightDevice", &T::weight_device, omit_empty),
                                          field("throttleReadBpsDevice", &T::throttle_read_bps_device, omit_empty),
                                          field("throttleWriteBpsDevice", &T::throttle_write_bps_device, omit_empty),
                                          field("throttleReadIOPSDevice", &T::throttle_read_iops_device, omit_empty),
                                          field("throttleWriteIOPSDevice", &T::throttle_write_iops_device, omit_empty)};
};
template <>
struct Fields<oci::LinuxHugepageLimit> {
  using T = oci::LinuxHugepageLimit;
  static constexpr auto list = std::tuple{field("pageSize", &T::page_size), field("limit", &T::limit)};
};
template <>
struct Fields<oci::LinuxInterfacePriority> {
  using T = oci::LinuxInterfacePriority;
  static constexpr auto list = std::tuple{field("name", &T::name), field("priority", &T::priority)};
};
template <>
struct Fields<oci::LinuxNetwork> {
  using T = oci::LinuxNetwork;
  static constexpr auto list =
      std::tuple{field("classID", &T::class_id, omit_empty), field("priorities", &T::priorities, omit_empty)};
};
template <>
struct Fields<oci::LinuxRdma> {
  using T = oci::LinuxRdma;
  static constexpr auto list =
      std::tuple{field("hcaHandles", &T::hca_handles, omit_empty), field("hcaObjects", &T::hca_objects, omit_empty)};
};
template <>
struct Fields<oci::LinuxResources> {
  using T = oci::LinuxResources;
  static constexpr auto list =
      std::tuple{field("devices", &T::devices, omit_empty),  field("memory", &T::memory, omit_empty),
                 field("cpu", &T::cpu, omit_empty),          field("pids", &T::pids, omit_empty),
                 field("blockIO", &T::block_io, omit_empty), field("hugepageLimits", &T::hugepage_limits, omit_empty),
                 field("network", &T::network, omit_empty),  field("rdma", &T::rdma, omit_empty),
                 field("unified", &T::unified, omit_empty)};
};
template <>
struct Fields<oci::LinuxSeccompArg> {
  using T = oci::LinuxSeccompArg;
  static constexpr auto list = std::tuple{field("index", &T::index), field("value", &T::value),
                                          field("valueTwo", &T::value_two, omit_empty), field("op", &T::op)};
};
template <>
struct Fields<oci::LinuxSyscall> {
  using T = oci::LinuxSyscall;
  static constexpr auto list =
      std::tuple{field("names", &T::names), field("action", &T::action), field("errnoRet", &T::errno_ret, omit_empty),
                 field("args", &T::args, omit_empty)};
};
template <>
struct Fields<oci::LinuxSeccomp> {
  using T = oci::LinuxSeccomp;
  static constexpr auto list = std::tuple{field("defaultAction", &T::default_action),
                                          field("defaultErrnoRet", &T::default_errno_ret, omit_empty),
                                          field("architectures", &T::architectures, omit_empty),
                                          field("flags", &T::flags, omit_empty),
                                          field("listenerPath", &T::listener_path, omit_empty),
                                          field("listenerMetadata", &T::listener_metadata, omit_empty),
                                          field("syscalls", &T::syscalls, omit_empty)};
};
template <>
struct Fields<oci::LinuxIntelRdt> {
  using T = oci::LinuxIntelRdt;
  static constexpr auto list = std::tuple{field("closID", &T::clos_id, omit_empty),
                                          field("l3CacheSchema", &T::l3_cache_schema, omit_empty),
                                          field("memBwSchema", &T::mem_bw_schema, omit_empty),
                                          field("enableCMT", &T::enable_cmt, omit_empty),
                                          field("enableMBM", &T::enable_mbm, omit_empty),
                                          field("schemata", &T::schemata, omit_empty),
                                          field("enableMonitoring", &T::enable_monitoring, omit_empty)};
};
template <>
struct Fields<oci::LinuxPersonality> {
  using T = oci::LinuxPersonality;
  static constexpr auto list = std::tuple{field("domain", &T::domain), field("flags", &T::flags, omit_empty)};
};
template <>
struct Fields<oci::LinuxTimeOffset> {
  using T = oci::LinuxTimeOffset;
  static constexpr auto list =
      std::tuple{field("secs", &T::secs, omit_empty), field("nanosecs", &T::nanosecs, omit_empty)};
};
template <>
struct Fields<oci::Linux> {
  using T = oci::Linux;
  static constexpr auto list = std::tuple{field("uidMappings", &T::uid_mappings, omit_empty),
                                          field("gidMappings", &T::gid_mappings, omit_empty),
                                          field("sysctl", &T::sysctl, omit_empty),
                                          field("resources", &T::resources, omit_empty),
                                          field("cgroupsPath", &T::cgroups_path, omit_empty),
                                          field("namespaces", &T::namespaces, omit_empty),
                                          field("devices", &T::devices, omit_empty),
                                          field("seccomp", &T::seccomp, omit_empty),
                                          field("rootfsPropagation", &T::rootfs_propagation, omit_empty),
                                          field("maskedPaths", &T::masked_paths, omit_empty),
                                          field("readonlyPaths", &T::readonly_paths, omit_empty),
                                          field("mountLabel", &T::mount_label, omit_empty),
                                          field("intelRdt", &T::intel_rdt, omit_empty),
                                          field("personality", &T::personality, omit_empty),
                                          field("timeOffsets", &T::time_offsets, omit_empty)};
};
template <>
struct Fields<oci::RuntimeSpec> {
  using T = oci::RuntimeSpec;
  static constexpr auto list = std::tuple{field("ociVersion", &T::oci_version),
                                          field("process", &T::process, omit_empty),
                                          field("root", &T::root, omit_empty),
                                          field("hostname", &T::hostname, omit_empty),
                                          field("domainname", &T::domainname, omit_empty),
                                          field("mounts", &T::mounts, omit_empty),
                                          field("hooks", &T::hooks, omit_empty),
                                          field("annotations", &T::annotations, omit_empty),
                                          field("linux", &T::linux_, omit_empty)};
};

}  // namespace bryo::json

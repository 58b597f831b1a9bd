// The API's names for the fields of host_config.hpp. Included by it.
#pragma once

#include "engine/types/host_config.hpp"

namespace bryo::json {

template <>
struct Fields<engine::LogConfig> {
  using T = engine::LogConfig;
  static constexpr auto list = std::tuple{field("Type", &T::type), field("Config", &T::config)};
};

template <>
struct Fields<engine::PortBinding> {
  using T = engine::PortBinding;
  static constexpr auto list = std::tuple{field("HostIp", &T::host_ip), field("HostPort", &T::host_port)};
};

template <>
struct Fields<engine::RestartPolicy> {
  using T = engine::RestartPolicy;
  static constexpr auto list = std::tuple{field("Name", &T::name), field("MaximumRetryCount", &T::maximum_retry_count)};
};

template <>
struct Fields<engine::DeviceMapping> {
  using T = engine::DeviceMapping;
  static constexpr auto list =
      std::tuple{field("PathOnHost", &T::path_on_host), field("PathInContainer", &T::path_in_container),
                 field("CgroupPermissions", &T::cgroup_permissions)};
};

template <>
struct Fields<engine::Ulimit> {
  using T = engine::Ulimit;
  static constexpr auto list = std::tuple{field("Name", &T::name), field("Hard", &T::hard), field("Soft", &T::soft)};
};

template <>
struct Fields<engine::ThrottleDevice> {
  using T = engine::ThrottleDevice;
  static constexpr auto list = std::tuple{field("Path", &T::path), field("Rate", &T::rate)};
};

template <>
struct Fields<engine::WeightDevice> {
  using T = engine::WeightDevice;
  static constexpr auto list = std::tuple{field("Path", &T::path), field("Weight", &T::weight)};
};

template <>
struct Fields<engine::BindOptions> {
  using T = engine::BindOptions;
  static constexpr auto list = std::tuple{field("Propagation", &T::propagation, omit_empty),
                                          field("NonRecursive", &T::non_recursive, omit_empty),
                                          field("CreateMountpoint", &T::create_mountpoint, omit_empty),
                                          field("ReadOnlyNonRecursive", &T::read_only_non_recursive, omit_empty),
                                          field("ReadOnlyForceRecursive", &T::read_only_force_recursive, omit_empty)};
};

template <>
struct Fields<engine::VolumeDriverConfig> {
  using T = engine::VolumeDriverConfig;
  static constexpr auto list =
      std::tuple{field("Name", &T::name, omit_empty), field("Options", &T::options, omit_empty)};
};

template <>
struct Fields<engine::VolumeOptions> {
  using T = engine::VolumeOptions;
  static constexpr auto list =
      std::tuple{field("NoCopy", &T::no_copy, omit_empty), field("Labels", &T::labels, omit_empty),
                 field("DriverConfig", &T::driver_config, omit_empty), field("Subpath", &T::subpath, omit_empty)};
};

template <>
struct Fields<engine::TmpfsOptions> {
  using T = engine::TmpfsOptions;
  static constexpr auto list =
      std::tuple{field("SizeBytes", &T::size_bytes, omit_empty), field("Mode", &T::mode, omit_empty),
                 field("Options", &T::options, omit_empty)};
};

template <>
struct Fields<engine::MountSpec> {
  using T = engine::MountSpec;
  static constexpr auto list = std::tuple{field("Type", &T::type),
                                          field("Source", &T::source, omit_empty),
                                          field("Target", &T::target),
                                          field("ReadOnly", &T::read_only, omit_empty),
                                          field("Consistency", &T::consistency, omit_empty),
                                          field("BindOptions", &T::bind_options, omit_empty),
                                          field("VolumeOptions", &T::volume_options, omit_empty),
                                          field("TmpfsOptions", &T::tmpfs_options, omit_empty)};
};

template <typename T>
inline constexpr auto kResourceFields = std::tuple{
    field<T>("CpuShares", static_cast<std::int64_t T::*>(&T::cpu_shares)),
    field<T>("Memory", static_cast<std::int64_t T::*>(&T::memory)),
    field<T>("NanoCpus", static_cast<std::int64_t T::*>(&T::nano_cpus)),
    field<T>("CgroupParent", static_cast<std::string T::*>(&T::cgroup_parent)),
    field<T>("BlkioWeight", static_cast<std::uint16_t T::*>(&T::blkio_weight)),
    field<T>("BlkioWeightDevice",
             static_cast<std::optional<std::vector<engine::WeightDevice>> T::*>(&T::blkio_weight_device)),
    field<T>("BlkioDeviceReadBps",
             static_cast<std::optional<std::vector<engine::ThrottleDevice>> T::*>(&T::blkio_device_read_bps)),
    field<T>("BlkioDeviceWriteBps",
             static_cast<std::optional<std::vector<engine::ThrottleDevice>> T::*>(&T::blkio_device_write_bps)),
    field<T>("BlkioDeviceReadIOps",
             static_cast<std::optional<std::vector<engine::ThrottleDevice>> T::*>(&T::blkio_device_read_iops)),
    field<T>("BlkioDeviceWriteIOps",
             static_cast<std::optional<std::vector<engine::ThrottleDevice>> T::*>(&T::blkio_device_write_iops)),
    field<T>("CpuPeriod", static_cast<std::int64_t T::*>(&T::cpu_period)),
    field<T>("CpuQuota", static_cast<std::int64_t T::*>(&T::cpu_quota)),
    field<T>("CpuRealtimePeriod", static_cast<std::int64_t T::*>(&T::cpu_realtime_period)),
    field<T>("CpuRealtimeRuntime", static_cast<std::int64_t T::*>(&T::cpu_realtime_runtime)),
    field<T>("CpusetCpus", static_cast<std::string T::*>(&T::cpuset_cpus)),
    field<T>("CpusetMems", static_cast<std::string T::*>(&T::cpuset_mems)),
    field<T>("Devices", static_cast<std::optional<std::vector<engine::DeviceMapping>> T::*>(&T::devices)),
    field<T>("DeviceCgroupRules", static_cast<std::optional<std::vector<std::string>> T::*>(&T::device_cgroup_rules)),
    field<T>("DeviceRequests", static_cast<Value T::*>(&T::device_requests)),
    field<T>("MemoryReservation", static_cast<std::int64_t T::*>(&T::memory_reservation)),
    field<T>("MemorySwap", static_cast<std::int64_t T::*>(&T::memory_swap)),
    field<T>("MemorySwappiness", static_cast<std::optional<std::int64_t> T::*>(&T::memory_swappiness)),
    field<T>("OomKillDisable", static_cast<std::optional<bool> T::*>(&T::oom_kill_disable)),
    field<T>("PidsLimit", static_cast<std::optional<std::int64_t> T::*>(&T::pids_limit)),
    field<T>("Ulimits", static_cast<std::optional<std::vector<engine::Ulimit>> T::*>(&T::ulimits))};

template <>
struct Fields<engine::Resources> {
  static constexpr auto list = kResourceFields<engine::Resources>;
};

template <>
struct Fields<engine::HostConfig> {
  using T = engine::HostConfig;
  static constexpr auto list =
      std::tuple_cat(std::tuple{field("Binds", &T::binds),
                                field("ContainerIDFile", &T::container_id_file),
                                field("LogConfig", &T::log_config),
                                field("NetworkMode", &T::network_mode),
                                field("PortBindings", &T::port_bindings),
                                field("RestartPolicy", &T::restart_policy),
                                field("AutoRemove", &T::auto_remove),
                                field("VolumeDriver", &T::volume_driver),
                                field("VolumesFrom", &T::volumes_from),
                                field("ConsoleSize", &T::console_size),
                                field("Annotations", &T::annotations, omit_empty),
                                field("CapAdd", &T::cap_add),
                                field("CapDrop", &T::cap_drop),
                                field("CgroupnsMode", &T::cgroupns_mode),
                                field("Dns", &T::dns),
                                field("DnsOptions", &T::dns_options),
                                field("DnsSearch", &T::dns_search),
                                field("ExtraHosts", &T::extra_hosts),
                                field("GroupAdd", &T::group_add),
                                field("IpcMode", &T::ipc_mode),
                                field("Cgroup", &T::cgroup),
                                field("Links", &T::links),
                                field("OomScoreAdj", &T::oom_score_adj),
                                field("PidMode", &T::pid_mode),
                                field("Privileged", &T::privileged),
                                field("PublishAllPorts", &T::publish_all_ports),
                                field("ReadonlyRootfs", &T::readonly_rootfs),
                                field("SecurityOpt", &T::security_opt),
                                field("StorageOpt", &T::storage_opt, omit_empty),
                                field("Tmpfs", &T::tmpfs, omit_empty),
                                field("UTSMode", &T::uts_mode),
                                field("UsernsMode", &T::userns_mode),
                                field("ShmSize", &T::shm_size),
                                field("Sysctls", &T::sysctls, omit_empty),
                                field("Runtime", &T::runtime),
                                field("Isolation", &T::isolation),
                                field("Mounts", &T::mounts, omit_empty)},
                     kResourceFields<T>,
                     std::tuple{field("MaskedPaths", &T::masked_paths), field("ReadonlyPaths", &T::readonly_paths),
                                field("Init", &T::init, omit_empty)});
};

}  // namespace bryo::json

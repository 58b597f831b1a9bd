// How a container meets its host: Docker's HostConfig (Engine API v1.47). Field names are the API's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/values.hpp"

namespace bryo::engine {

struct LogConfig {
  std::string type;  // "" = the daemon's default; json-file, none
  Labels config;     // max-size, max-file, labels, env, tag, mode
};

struct PortBinding {
  std::string host_ip;
  std::string host_port;  // "", "8080", "8000-8010"
};
using PortMap = std::map<std::string, std::vector<PortBinding>>;  // "80/tcp" →

struct RestartPolicy {
  std::string name;  // "", no, always, unless-stopped, on-failure
  int maximum_retry_count = 0;
};

struct DeviceMapping {
  std::string path_on_host;
  std::string path_in_container;
  std::string cgroup_permissions;
};

struct Ulimit {
  std::string name;
  std::int64_t soft = 0;
  std::int64_t hard = 0;
};

struct ThrottleDevice {
  std::string path;
  std::uint64_t rate = 0;  // bytes or operations a second
};

struct WeightDevice {
  std::string path;
  std::uint16_t weight = 0;
};

struct BindOptions {
  std::string propagation;
  bool non_recursive = false;
  bool create_mountpoint = false;
  // A read-only bind is so with all that is mounted below it; unless the first is set, and for sure with the second.
  bool read_only_non_recursive = false;
  bool read_only_force_recursive = false;
};

struct VolumeDriverConfig {
  std::string name;
  Labels options;
};

struct VolumeOptions {
  bool no_copy = false;
  Labels labels;
  std::optional<VolumeDriverConfig> driver_config;
  std::string subpath;
};

struct TmpfsOptions {
  std::int64_t size_bytes = 0;
  std::uint32_t mode = 0;
  std::vector<std::vector<std::string>> options;  // {"noexec"}, {"nr_inodes", "4k"}
};

// One --mount.
struct MountSpec {
  std::string type;  // bind, volume, tmpfs
  std::string source;
  std::string target;
  bool read_only = false;
  std::string consistency;
  std::optional<BindOptions> bind_options;
  std::optional<VolumeOptions> volume_options;
  std::optional<TmpfsOptions> tmpfs_options;
};

// The part of HostConfig that `docker update` may change too. Bytes, nanoseconds and microseconds as in the API.
struct Resources {
  std::int64_t cpu_shares = 0;
  std::int64_t memory = 0;
  std::int64_t nano_cpus = 0;
  std::string cgroup_parent;
  std::uint16_t blkio_weight = 0;
  std::optional<std::vector<WeightDevice>> blkio_weight_device;
  std::optional<std::vector<ThrottleDevice>> blkio_device_read_bps;
  std::optional<std::vector<ThrottleDevice>> blkio_device_write_bps;
  std::optional<std::vector<ThrottleDevice>> blkio_device_read_iops;
  std::optional<std::vector<ThrottleDevice>> blkio_device_write_iops;
  std::int64_t cpu_period = 0;
  std::int64_t cpu_quota = 0;
  std::int64_t cpu_realtime_period = 0;
  std::int64_t cpu_realtime_runtime = 0;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::optional<std::vector<DeviceMapping>> devices;
  std::optional<std::vector<std::string>> device_cgroup_rules;
  json::Value device_requests;
  std::int64_t memory_reservation = 0;
  std::int64_t memory_swap = 0;
  std::optional<std::int64_t> memory_swappiness;
  std::optional<bool> oom_kill_disable;
  std::optional<std::int64_t> pids_limit;
  std::optional<std::vector<Ulimit>> ulimits;
};

struct HostConfig : Resources {
  std::optional<std::vector<std::string>> binds;
  std::string container_id_file;
  LogConfig log_config;
  std::string network_mode;  // "", default, bridge, host, none, container:ID, a network's name or id
  PortMap port_bindings;
  RestartPolicy restart_policy;
  bool auto_remove = false;
  std::string volume_driver;
  std::optional<std::vector<std::string>> volumes_from;
  std::array<unsigned, 2> console_size{};  // rows, columns
  Labels annotations;
  Words cap_add;
  Words cap_drop;
  std::string cgroupns_mode;  // "", private, host
  std::vector<std::string> dns;
  std::vector<std::string> dns_options;
  std::vector<std::string> dns_search;
  std::optional<std::vector<std::string>> extra_hosts;
  std::optional<std::vector<std::string>> group_add;
  std::string ipc_mode;  // "", private, shareable, none, host, container:ID
  std::string cgroup;
  std::optional<std::vector<std::string>> links;
  int oom_score_adj = 0;
  std::string pid_mode;  // "", host, container:ID
  bool privileged = false;
  bool publish_all_ports = false;
  bool readonly_rootfs = false;
  std::optional<std::vector<std::string>> security_opt;
  Labels storage_opt;
  Labels tmpfs;
  std::string uts_mode;     // "", host
  std::string userns_mode;  // "", host, auto[:size=N]
  std::int64_t shm_size = 0;
  Labels sysctls;
  std::string runtime;
  std::string isolation;
  std::vector<MountSpec> mounts;
  std::optional<std::vector<std::string>> masked_paths;
  std::optional<std::vector<std::string>> readonly_paths;
  std::optional<bool> init;
};

}  // namespace bryo::engine

#include "engine/types/host_config_json.hpp"

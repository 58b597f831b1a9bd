// What a container may use, in the words of the OCI runtime spec (linux.resources). Nothing set = nothing written.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bryo::kernel {

// One rule of the device list; the first letter of `type`: 'a' all, 'b' block, 'c' character. No number = every number.
struct CgroupDeviceRule {
  bool allow = false;
  char type = 'a';
  std::optional<std::uint32_t> major;
  std::optional<std::uint32_t> minor;
  std::string access = "rwm";
};

// A weight, or a rate in bytes or operations a second, of one block device.
struct CgroupDeviceRate {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint64_t value = 0;
};

struct CgroupHugepages {
  std::string page_size;  // "2MB", "1GB"
  std::uint64_t limit = 0;
};

// Handles and objects of one RDMA device; nothing set = no limit.
struct CgroupRdma {
  std::string device;  // "mlx5_0"
  std::optional<std::uint32_t> handles;
  std::optional<std::uint32_t> objects;
};

struct CgroupLimits {
  // Bytes; -1 = unlimited. memory_swap is memory plus swap, as Docker counts it.
  std::optional<std::int64_t> memory;
  std::optional<std::int64_t> memory_swap;
  std::optional<std::int64_t> memory_reservation;
  std::optional<std::int64_t> kernel_memory;      // accepted where the kernel still has it, else left out (gone in 6.1)
  std::optional<std::int64_t> kernel_memory_tcp;  // v1 only, else left out
  std::optional<std::uint64_t> memory_swappiness;  // v1 only: Error{unsupported} on v2 unless 0..100 is the default 60
  bool oom_kill_disable = false;                   // v1 only

  std::optional<std::uint64_t> cpu_shares;  // v1's scale, 2…262144; converted to a weight on v2
  std::optional<std::int64_t> cpu_quota;    // microseconds a period; -1 = unlimited
  std::optional<std::uint64_t> cpu_period;
  std::optional<std::uint64_t> cpu_burst;
  std::optional<std::int64_t> cpu_idle;        // 1 = SCHED_IDLE for the whole container
  std::optional<std::int64_t> cpu_rt_runtime;  // v1 only
  std::optional<std::uint64_t> cpu_rt_period;  // v1 only
  std::string cpuset_cpus;                     // "0-3,5"; empty = the parent's
  std::string cpuset_mems;

  std::optional<std::int64_t> pids_max;  // <= 0 = unlimited

  std::optional<std::uint16_t> io_weight;  // v1's scale, 10…1000
  std::vector<CgroupDeviceRate> io_weight_device;
  std::vector<CgroupDeviceRate> io_read_bps;
  std::vector<CgroupDeviceRate> io_write_bps;
  std::vector<CgroupDeviceRate> io_read_iops;
  std::vector<CgroupDeviceRate> io_write_iops;

  // In order, later rules win. Empty = no device controller at all; otherwise it should begin with deny-all.
  std::vector<CgroupDeviceRule> devices;
  std::vector<CgroupHugepages> hugepages;
  std::vector<CgroupRdma> rdma;  // v2 only
  // v2 file name → value, written as they are after everything else ("memory.high" → "1000000").
  std::map<std::string, std::string> unified;
};

// v1's scale → v2's. 2…262144 → 1…10000 with 1024 → 100, both defaults (runc's and systemd's curve since 2025).
std::uint64_t cpu_shares_to_weight(std::uint64_t shares);
// 10…1000 → 1…10000, linear.
std::uint64_t io_weight_to_v2(std::uint64_t weight);

}  // namespace bryo::kernel

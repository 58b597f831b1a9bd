#include "kernel/cgroup_writes.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

using Writes = std::vector<CgroupWrite>;

std::string bytes_v1(std::int64_t value) { return std::to_string(value < 0 ? -1 : value); }
std::string bytes_v2(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

void check_swap(const CgroupLimits& limits) {
  if (!limits.memory_swap || *limits.memory_swap < 0 || !limits.memory) return;
  if (*limits.memory < 0 || *limits.memory > *limits.memory_swap)
    fail(ErrorKind::invalid_argument, "memory limit {} is larger than memory plus swap limit {}", *limits.memory,
         *limits.memory_swap);
}

void memory_v1(const CgroupLimits& limits, Writes& out) {
  check_swap(limits);
  const auto add = [&](const char* file, std::string value, const char* subject, bool optional = false) {
    out.push_back({"memory", file, std::move(value), subject, "", optional});
  };
  if (limits.memory) add("memory.limit_in_bytes", bytes_v1(*limits.memory), "memory limit");
  if (limits.memory_swap) add("memory.memsw.limit_in_bytes", bytes_v1(*limits.memory_swap), "memory plus swap limit");
  if (limits.memory_reservation)
    add("memory.soft_limit_in_bytes", bytes_v1(*limits.memory_reservation), "memory reservation");
  // Deprecated in the kernel, which answers EOPNOTSUPP (6.1): tolerated, as the OCI spec does.
  if (limits.kernel_memory) add("memory.kmem.limit_in_bytes", bytes_v1(*limits.kernel_memory), "kernel memory", true);
  if (limits.kernel_memory_tcp)
    add("memory.kmem.tcp.limit_in_bytes", bytes_v1(*limits.kernel_memory_tcp), "kernel TCP memory", true);
  if (limits.memory_swappiness) {
    if (*limits.memory_swappiness > 100)
      fail(ErrorKind::invalid_argument, "memory swappiness {} is not in 0…100", *limits.memory_swappiness);
    add("memory.swappiness", std::to_string(*limits.memory_swappiness), "memory swappiness");
  }
  if (limits.oom_kill_disable) add("memory.oom_control", "1", "disabling of the OOM killer");
}

void cpu_v1(const CgroupLimits& limits, Writes& out) {
  const auto add = [&](const char* file, std::string value, const char* subject) {
    out.push_back({"cpu", file, std::move(value), subject, "", false});
  };
  if (limits.cpu_shares.value_or(0) != 0) add("cpu.shares", std::to_string(*limits.cpu_shares), "CPU shares");
  if (limits.cpu_period.value_or(0) != 0) add("cpu.cfs_period_us", std::to_string(*limits.cpu_period), "CPU period");
  if (limits.cpu_quota.value_or(0) != 0) add("cpu.cfs_quota_us", bytes_v1(*limits.cpu_quota), "CPU quota");
  if (limits.cpu_burst) add("cpu.cfs_burst_us", std::to_string(*limits.cpu_burst), "CPU burst");
  if (limits.cpu_idle) add("cpu.idle", std::to_string(*limits.cpu_idle), "CPU idle state");
  if (limits.cpu_rt_period.value_or(0) != 0)
    add("cpu.rt_period_us", std::to_string(*limits.cpu_rt_period), "CPU realtime period");
  if (limits.cpu_rt_runtime.value_or(0) != 0)
    add("cpu.rt_runtime_us", std::to_string(*limits.cpu_rt_runtime), "CPU realtime runtime");
}

std::string device_number(const CgroupDeviceRate& rate) {
  return std::to_string(rate.major) + ":" + std::to_string(rate.minor);
}

void io_v1(const CgroupLimits& limits, Writes& out) {
  if (limits.io_weight.value_or(0) != 0)
    out.push_back({"blkio", "blkio.weight", std::to_string(*limits.io_weight), "block IO weight", "blkio.bfq.weight"});
  const auto add = [&](const char* file, const std::vector<CgroupDeviceRate>& rates, const char* subject,
                       const char* alternative = "") {
    for (const auto& rate : rates)
      out.push_back({"blkio", file, device_number(rate) + " " + std::to_string(rate.value), subject, alternative});
  };
  add("blkio.weight_device", limits.io_weight_device, "block IO weight of a device", "blkio.bfq.weight_device");
  add("blkio.throttle.read_bps_device", limits.io_read_bps, "device read rate");
  add("blkio.throttle.write_bps_device", limits.io_write_bps, "device write rate");
  add("blkio.throttle.read_iops_device", limits.io_read_iops, "device read operations");
  add("blkio.throttle.write_iops_device", limits.io_write_iops, "device write operations");
}

void cpuset(const CgroupLimits& limits, Writes& out) {
  if (!limits.cpuset_cpus.empty()) out.push_back({"cpuset", "cpuset.cpus", limits.cpuset_cpus, "CPU set"});
  if (!limits.cpuset_mems.empty()) out.push_back({"cpuset", "cpuset.mems", limits.cpuset_mems, "memory node set"});
}

void pids(const CgroupLimits& limits, Writes& out) {
  if (!limits.pids_max) return;
  out.push_back(
      {"pids", "pids.max", *limits.pids_max <= 0 ? "max" : std::to_string(*limits.pids_max), "process limit"});
}

void hugepages(const CgroupLimits& limits, const char* suffix, Writes& out) {
  for (const auto& pages : limits.hugepages) {
    if (pages.page_size.empty() || pages.page_size.find_first_not_of("0123456789KMGB") != std::string::npos)
      fail(ErrorKind::invalid_argument, "huge page size \"{}\" is not of the form 2MB", pages.page_size);
    out.push_back({"hugetlb", "hugetlb." + pages.page_size + suffix, std::to_string(pages.limit), "huge page limit"});
  }
}

std::string device_text(const CgroupDeviceRule& rule) {
  if (rule.type == 'a') return "a";
  const auto number = [](const std::optional<std::uint32_t>& n) { return n ? std::to_string(*n) : std::string("*"); };
  return std::string(1, rule.type) + " " + number(rule.major) + ":" + number(rule.minor) + " " + rule.access;
}

void memory_v2(const CgroupLimits& limits, Writes& out) {
  check_swap(limits);
  const auto add = [&](const char* file, std::string value, const char* subject) {
    out.push_back({"memory", file, std::move(value), subject, "", false});
  };
  // v2 counts swap alone, so a sum needs its other half. Swap first: the kernel then never sees memory without it.
  if (limits.memory_swap) {
    if (*limits.memory_swap >= 0 && !limits.memory)
      fail(ErrorKind::invalid_argument, "a limit of memory plus swap needs a memory limit too");
    const bool unlimited = *limits.memory_swap < 0;
    add("memory.swap.max", unlimited ? "max" : std::to_string(*limits.memory_swap - *limits.memory), "swap limit");
  }
  if (limits.memory) add("memory.max", bytes_v2(*limits.memory), "memory limit");
  if (limits.memory_reservation) add("memory.low", bytes_v2(*limits.memory_reservation), "memory reservation");
  if (limits.memory_swappiness.value_or(60) != 60)
    fail(ErrorKind::unsupported, "memory swappiness exists on cgroup v1 only; this host has v2");
  if (limits.oom_kill_disable)
    fail(ErrorKind::unsupported, "disabling the OOM killer works on cgroup v1 only; this host has v2");
}

void cpu_v2(const CgroupLimits& limits, Writes& out) {
  if (limits.cpu_shares.value_or(0) != 0)
    out.push_back({"cpu", "cpu.weight", std::to_string(cpu_shares_to_weight(*limits.cpu_shares)), "CPU shares"});
  const std::int64_t quota = limits.cpu_quota.value_or(0);
  const std::uint64_t period = limits.cpu_period.value_or(0);
  if (quota != 0 || period != 0) {
    std::string value = quota > 0 ? std::to_string(quota) : "max";
    if (period != 0) value += " " + std::to_string(period);
    out.push_back({"cpu", "cpu.max", std::move(value), "CPU quota"});
  }
  if (limits.cpu_burst) out.push_back({"cpu", "cpu.max.burst", std::to_string(*limits.cpu_burst), "CPU burst"});
  if (limits.cpu_idle) out.push_back({"cpu", "cpu.idle", std::to_string(*limits.cpu_idle), "CPU idle state"});
  if (limits.cpu_rt_period.value_or(0) != 0 || limits.cpu_rt_runtime.value_or(0) != 0)
    fail(ErrorKind::unsupported, "CPU realtime limits exist on cgroup v1 only; this host has v2");
}

void io_v2(const CgroupLimits& limits, Writes& out) {
  if (limits.io_weight.value_or(0) != 0)
    out.push_back(
        {"io", "io.weight", std::to_string(io_weight_to_v2(*limits.io_weight)), "block IO weight", "io.bfq.weight"});
  for (const auto& rate : limits.io_weight_device)
    out.push_back({"io", "io.weight", device_number(rate) + " " + std::to_string(io_weight_to_v2(rate.value)),
                   "block IO weight of a device", "io.bfq.weight"});
  const auto add = [&](const char* key, const std::vector<CgroupDeviceRate>& rates, const char* subject) {
    for (const auto& rate : rates) {
      const std::string value = rate.value == 0 ? "max" : std::to_string(rate.value);
      out.push_back({"io", "io.max", device_number(rate) + " " + key + "=" + value, subject});
    }
  };
  add("rbps", limits.io_read_bps, "device read rate");
  add("wbps", limits.io_write_bps, "device write rate");
  add("riops", limits.io_read_iops, "device read operations");
  add("wiops", limits.io_write_iops, "device write operations");
}

// "mlx5_0 hca_handle=2 hca_object=max" (cgroup-v2.rst, RDMA).
void rdma(const CgroupLimits& limits, Writes& out) {
  const auto number = [](const std::optional<std::uint32_t>& n) { return n ? std::to_string(*n) : std::string("max"); };
  for (const auto& entry : limits.rdma) {
    if (entry.device.empty() || entry.device.find_first_of(" \n\t") != std::string::npos)
      fail(ErrorKind::invalid_argument, "\"{}\" is not the name of an RDMA device", printable(entry.device));
    out.push_back({"rdma", "rdma.max",
                   entry.device + " hca_handle=" + number(entry.handles) + " hca_object=" + number(entry.objects),
                   "RDMA limit"});
  }
}

void unified(const CgroupLimits& limits, Writes& out) {
  for (const auto& [file, value] : limits.unified) {
    if (file.empty() || file.front() == '.' || file.find('/') != std::string::npos)
      fail(ErrorKind::invalid_argument, "\"{}\" is not the name of a cgroup file", file);
    out.push_back({"", file, value, "cgroup setting " + file});
  }
}

}  // namespace

std::vector<CgroupDeviceRule> closed_device_rules(const std::vector<CgroupDeviceRule>& rules) {
  if (rules.empty() || rules.front().type == 'a') return rules;
  std::vector<CgroupDeviceRule> closed{CgroupDeviceRule{}};
  closed.insert(closed.end(), rules.begin(), rules.end());
  return closed;
}

Writes cgroup_writes_v1(const CgroupLimits& limits) {
  if (!limits.unified.empty())
    fail(ErrorKind::unsupported, "cgroup setting {} needs cgroup v2; this host has v1", limits.unified.begin()->first);
  if (!limits.rdma.empty()) fail(ErrorKind::unsupported, "RDMA limits need cgroup v2; this host has v1");
  Writes out;
  cpuset(limits, out);
  memory_v1(limits, out);
  cpu_v1(limits, out);
  pids(limits, out);
  io_v1(limits, out);
  hugepages(limits, ".limit_in_bytes", out);
  for (const auto& rule : closed_device_rules(limits.devices))
    out.push_back({"devices", rule.allow ? "devices.allow" : "devices.deny", device_text(rule), "device rule"});
  return out;
}

Writes cgroup_writes_v2(const CgroupLimits& limits) {
  Writes out;
  cpuset(limits, out);
  memory_v2(limits, out);
  cpu_v2(limits, out);
  pids(limits, out);
  io_v2(limits, out);
  hugepages(limits, ".max", out);
  rdma(limits, out);
  unified(limits, out);
  return out;
}

std::uint64_t cpu_shares_to_weight(std::uint64_t shares) {
  const double l = std::log2(static_cast<double>(std::clamp<std::uint64_t>(shares, 2, 262144)));
  const double weight = std::ceil(std::pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(weight), 1, 10000);
}

std::uint64_t io_weight_to_v2(std::uint64_t weight) {
  const std::uint64_t known = std::clamp<std::uint64_t>(weight, 10, 1000);
  return 1 + (known - 10) * 9999 / 990;
}

}  // namespace bryo::kernel

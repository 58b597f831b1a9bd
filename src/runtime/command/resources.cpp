// linux.resources and linux.cgroupsPath for the cgroup module.
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_tree.hpp"
#include "runtime/command/launch.hpp"
#include "runtime/default_spec.hpp"

namespace bryo::runtime::command {
namespace {

std::uint32_t device_number(std::int64_t number) {
  if (number < 0 || number > UINT32_MAX)
    fail(ErrorKind::invalid_argument, "linux.resources: no such device number {}", number);
  return static_cast<std::uint32_t>(number);
}

// 0 is how some callers write "no limit", as runc takes it; nothing could run in no memory.
std::optional<std::int64_t> unless_zero(const std::optional<std::int64_t>& bytes) {
  return bytes.value_or(0) != 0 ? bytes : std::nullopt;
}

void take_memory(const oci::LinuxMemory& memory, kernel::CgroupLimits& out) {
  out.memory = unless_zero(memory.limit);
  out.memory_reservation = unless_zero(memory.reservation);
  out.memory_swap = unless_zero(memory.swap);
  out.kernel_memory = memory.kernel;
  out.kernel_memory_tcp = memory.kernel_tcp;
  out.memory_swappiness = memory.swappiness;
  out.oom_kill_disable = memory.disable_oom_killer.value_or(false);
}

void take_cpu(const oci::LinuxCpu& cpu, kernel::CgroupLimits& out) {
  out.cpu_shares = cpu.shares;
  out.cpu_quota = cpu.quota;
  out.cpu_period = cpu.period;
  out.cpu_burst = cpu.burst;
  out.cpu_idle = cpu.idle;
  out.cpu_rt_runtime = cpu.realtime_runtime;
  out.cpu_rt_period = cpu.realtime_period;
  out.cpuset_cpus = cpu.cpus;
  out.cpuset_mems = cpu.mems;
}

std::vector<kernel::CgroupDeviceRate> rates(const std::vector<oci::LinuxThrottleDevice>& devices) {
  std::vector<kernel::CgroupDeviceRate> out;
  for (const auto& d : devices) out.push_back({device_number(d.major), device_number(d.minor), d.rate});
  return out;
}

void take_io(const oci::LinuxBlockIo& io, kernel::CgroupLimits& out) {
  out.io_weight = io.weight;
  for (const auto& d : io.weight_device)
    if (d.weight) out.io_weight_device.push_back({device_number(d.major), device_number(d.minor), *d.weight});
  out.io_read_bps = rates(io.throttle_read_bps_device);
  out.io_write_bps = rates(io.throttle_write_bps_device);
  out.io_read_iops = rates(io.throttle_read_iops_device);
  out.io_write_iops = rates(io.throttle_write_iops_device);
}

kernel::CgroupDeviceRule device_rule(const oci::LinuxDeviceCgroup& rule) {
  kernel::CgroupDeviceRule out;
  out.allow = rule.allow;
  if (rule.type.size() > 1 || (!rule.type.empty() && std::string_view("abc").find(rule.type[0]) == std::string::npos))
    fail(ErrorKind::invalid_argument, "linux.resources.devices: unknown type \"{}\"", printable(rule.type));
  out.type = rule.type.empty() ? 'a' : rule.type[0];
  // -1 is how some engines write "every number".
  if (rule.major && *rule.major != -1) out.major = device_number(*rule.major);
  if (rule.minor && *rule.minor != -1) out.minor = device_number(*rule.minor);
  for (const char c : rule.access)
    if (std::string_view("rwm").find(c) == std::string_view::npos)
      fail(ErrorKind::invalid_argument, "linux.resources.devices: unknown access \"{}\"", printable(rule.access));
  if (!rule.access.empty()) out.access = rule.access;
  return out;
}

}  // namespace

kernel::CgroupLimits limits_of(const oci::LinuxResources& resources) {
  kernel::CgroupLimits out;
  if (resources.memory) take_memory(*resources.memory, out);
  if (resources.cpu) take_cpu(*resources.cpu, out);
  if (resources.pids) out.pids_max = resources.pids->limit;
  if (resources.block_io) take_io(*resources.block_io, out);
  for (const auto& page : resources.hugepage_limits) out.hugepages.push_back({page.page_size, page.limit});
  for (const auto& [device, limit] : resources.rdma) out.rdma.push_back({device, limit.hca_handles, limit.hca_objects});
  if (resources.network && (resources.network->class_id.value_or(0) != 0 || !resources.network->priorities.empty()))
    fail(ErrorKind::unsupported,
         "linux.resources.network: classID and priorities are not supported (net_cls and net_prio are cgroup v1's)");
  out.unified = resources.unified;
  return out;
}

kernel::CgroupLimits limits_of(const oci::Linux& os) {
  kernel::CgroupLimits out;
  if (os.resources) out = limits_of(*os.resources);
  // Nothing is allowed before a rule says so, whatever the list begins with (GHSA-g54h-m393-cpwq).
  out.devices.push_back({});
  if (os.resources)
    for (const auto& rule : os.resources->devices) out.devices.push_back(device_rule(rule));
  // And no list takes away what every container has: its /dev/null is one.
  for (const auto& rule : default_device_rules())
    if (rule.allow) out.devices.push_back(device_rule(rule));
  return out;
}

bool may_make_cgroup(const std::string& path) {
  const auto hierarchies = kernel::used_hierarchies(kernel::CgroupLayout::once());
  return std::ranges::all_of(hierarchies, [&](const std::string& hierarchy) {
    std::string nearest = hierarchy + path;
    while (nearest.size() > hierarchy.size() && ::access(nearest.c_str(), F_OK) != 0) nearest.erase(nearest.rfind('/'));
    return ::access(nearest.c_str(), W_OK) == 0;
  });
}

std::string first_limit(const oci::Linux& os) {
  if (!os.resources) return "";
  const oci::LinuxResources& resources = *os.resources;
  if (resources.memory && (resources.memory->limit || resources.memory->swap || resources.memory->reservation))
    return "memory";
  if (resources.pids && resources.pids->limit > 0) return "pids";
  if (resources.cpu &&
      (resources.cpu->shares || resources.cpu->quota || !resources.cpu->cpus.empty() || !resources.cpu->mems.empty()))
    return "cpu";
  if (resources.block_io) return "blockIO";
  if (!resources.hugepage_limits.empty()) return "hugepageLimits";
  if (!resources.unified.empty()) return "unified";
  return "";
}

std::string cgroup_path_of(const oci::Linux& os, const std::string& id) {
  const std::string& given = os.cgroups_path;
  if (given.empty()) return "/" + id;
  if (given.find(':') != std::string::npos)
    fail(ErrorKind::invalid_argument, "linux.cgroupsPath: {} is of systemd's form: it needs --systemd-cgroup",
         printable(given));
  for (const std::string_view part : split(given, '/'))
    if (part == "." || part == "..")
      fail(ErrorKind::invalid_argument, "linux.cgroupsPath: {} is not plain", printable(given));
  return given.starts_with('/') ? given : "/" + given;
}

}  // namespace bryo::runtime::command

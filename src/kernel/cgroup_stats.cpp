// What a container has used, read from the files of its cgroup.
#include <algorithm>
#include <limits>

#include "base/strings.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::kernel {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number_or_unlimited(const CgroupDirectory& directory, const char* file) {
  return directory.read_number(file).value_or(kUnlimited);  // "max"
}

void read_memory_stat(const CgroupDirectory& directory, CgroupStats& stats) {
  for_each_key(directory.read("memory.stat").value_or(""),
               [&](std::string_view key, std::uint64_t value) { stats.memory_stat.emplace(key, value); });
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> device_number(std::string_view text) {
  const auto pair = split_once(text, ':');
  if (!pair) return std::nullopt;
  const auto major = parse_integer<std::uint64_t>(pair->first);
  const auto minor = parse_integer<std::uint64_t>(pair->second);
  if (!major || !minor) return std::nullopt;
  return std::pair{*major, *minor};
}

// Lines "8:0 Read 4096", and a last line "Total 4096" without a device.
std::vector<CgroupStats::BlockEntry> block_entries(const std::string& text) {
  std::vector<CgroupStats::BlockEntry> out;
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    const auto device = device_number(words[0]);
    const auto value = parse_integer<std::uint64_t>(words[2]);
    if (device && value) out.push_back({device->first, device->second, to_lower(words[1]), *value});
  }
  return out;
}

std::vector<CgroupStats::BlockEntry> first_block_entries(const CgroupDirectory& directory,
                                                         std::initializer_list<const char*> files) {
  for (const char* file : files)
    if (auto entries = block_entries(directory.read(file).value_or("")); !entries.empty()) return entries;
  return {};
}

void cpu_v1(const CgroupDirectory& cpu, const CgroupDirectory& account, CgroupStats& stats) {
  stats.cpu_total = account.read_number("cpuacct.usage").value_or(0);
  stats.cpu_user = account.read_number("cpuacct.usage_user").value_or(0);
  stats.cpu_system = account.read_number("cpuacct.usage_sys").value_or(0);
  const std::string per_cpu = account.read("cpuacct.usage_percpu").value_or("");
  for (const auto word : split(trim(per_cpu), ' '))
    if (const auto value = parse_integer<std::uint64_t>(word)) stats.cpu_per_cpu.push_back(*value);
  const auto text = cpu.read("cpu.stat").value_or("");
  stats.throttling_periods = find_key(text, "nr_periods");
  stats.throttled_periods = find_key(text, "nr_throttled");
  stats.throttled_time = find_key(text, "throttled_time");
}

void memory_v1(const CgroupDirectory& memory, CgroupStats& stats) {
  stats.memory_usage = memory.read_number("memory.usage_in_bytes").value_or(0);
  stats.memory_max_usage = memory.read_number("memory.max_usage_in_bytes").value_or(0);
  stats.memory_limit = memory.read_number("memory.limit_in_bytes").value_or(kUnlimited);
  stats.memory_failures = memory.read_number("memory.failcnt").value_or(0);
  read_memory_stat(memory, stats);
}

void pids_of(const CgroupDirectory& pids, CgroupStats& stats) {
  stats.pids_current = pids.read_number("pids.current").value_or(0);
  stats.pids_limit = pids.read_number("pids.max").value_or(0);
}

void io_v1(const CgroupDirectory& blkio, CgroupStats& stats) {
  stats.io_service_bytes =
      first_block_entries(blkio, {"blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive",
                                  "blkio.throttle.io_service_bytes"});
  stats.io_serviced = first_block_entries(
      blkio, {"blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"});
}

// Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
void io_v2(const CgroupDirectory& directory, CgroupStats& stats) {
  const std::string text = directory.read("io.stat").value_or("");
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    const auto device = device_number(words.front());
    if (!device) continue;
    for (const auto word : words) {
      const auto pair = split_once(word, '=');
      const auto value = pair ? parse_integer<std::uint64_t>(pair->second) : std::nullopt;
      if (!value) continue;
      const auto add = [&](auto& list, const char* operation) {
        list.push_back({device->first, device->second, operation, *value});
      };
      if (pair->first == "rbytes") add(stats.io_service_bytes, "read");
      if (pair->first == "wbytes") add(stats.io_service_bytes, "write");
      if (pair->first == "rios") add(stats.io_serviced, "read");
      if (pair->first == "wios") add(stats.io_serviced, "write");
    }
  }
}

CgroupStats stats_v2(const CgroupDirectory& directory) {
  CgroupStats stats;
  const auto cpu = directory.read("cpu.stat").value_or("");
  stats.cpu_total = find_key(cpu, "usage_usec") * 1000;
  stats.cpu_user = find_key(cpu, "user_usec") * 1000;
  stats.cpu_system = find_key(cpu, "system_usec") * 1000;
  stats.throttling_periods = find_key(cpu, "nr_periods");
  stats.throttled_periods = find_key(cpu, "nr_throttled");
  stats.throttled_time = find_key(cpu, "throttled_usec") * 1000;
  stats.memory_usage = directory.read_number("memory.current").value_or(0);
  stats.memory_limit = number_or_unlimited(directory, "memory.max");
  stats.memory_failures = find_key(directory.read("memory.events").value_or(""), "max");
  read_memory_stat(directory, stats);
  pids_of(directory, stats);
  io_v2(directory, stats);
  return stats;
}

}  // namespace

CgroupStats ContainerCgroup::stats() const {
  CgroupStats stats;
  const auto open = [&](const char* controller) -> std::optional<CgroupDirectory> {
    const auto hierarchy = hierarchy_of(layout_, controller);
    return hierarchy.empty() ? std::nullopt : CgroupDirectory::open(hierarchy + path_);
  };
  if (layout_.version() == CgroupVersion::v2) {
    const auto directory = open("memory");
    return directory ? stats_v2(*directory) : stats;
  }
  const auto cpu = open("cpu");
  const auto account = open("cpuacct");
  if (cpu && account) cpu_v1(*cpu, *account, stats);
  if (const auto memory = open("memory")) memory_v1(*memory, stats);
  if (const auto pids = open("pids")) pids_of(*pids, stats);
  if (const auto blkio = open("blkio")) io_v1(*blkio, stats);
  return stats;
}

std::uint64_t ContainerCgroup::oom_kills() const {
  const auto hierarchy = hierarchy_of(layout_, "memory");
  const auto directory = hierarchy.empty() ? std::nullopt : CgroupDirectory::open(hierarchy + path_);
  if (!directory) return 0;
  const char* file = layout_.version() == CgroupVersion::v2 ? "memory.events" : "memory.oom_control";
  return find_key(directory->read(file).value_or(""), "oom_kill");
}

}  // namespace bryo::kernel

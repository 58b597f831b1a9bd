// Names of units and their properties; pure.
#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_details.hpp"
#include "kernel/cgroup_limits.hpp"
#include "runtime/command/systemd_properties.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::uint64_t kInfinity = UINT64_MAX;
constexpr std::uint64_t kMicroseconds = 1'000'000;
constexpr std::uint64_t kDefaultPeriod = 100'000;
constexpr std::string_view kSlice = ".slice";

// systemd.unit(5): what else a name may hold is quoted there, and nothing a container's name needs.
void check_unit_name(std::string_view name) {
  const bool good = !name.empty() && name.size() < 250 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":_.\\-@").find(c) != std::string_view::npos;
  });
  if (!good) fail(ErrorKind::invalid_argument, "linux.cgroupsPath: \"{}\" is not a unit's name", printable(name));
}

// "a-b.slice" is in "a.slice": /a.slice/a-b.slice. "-.slice" is the root.
std::string slice_path(const std::string& slice) {
  if (slice == "-.slice") return "";
  if (!slice.ends_with(kSlice) || slice.size() == kSlice.size() || slice.find('/') != std::string::npos)
    fail(ErrorKind::invalid_argument, "linux.cgroupsPath: \"{}\" is not the name of a slice", printable(slice));
  check_unit_name(slice);
  const std::string_view name = std::string_view(slice).substr(0, slice.size() - kSlice.size());
  std::string path, prefix;
  for (const std::string_view part : split(name, '-')) {
    if (part.empty())
      fail(ErrorKind::invalid_argument, "linux.cgroupsPath: \"{}\" is not the name of a slice", printable(slice));
    prefix.append(prefix.empty() ? "" : "-").append(part);
    path.append("/").append(prefix).append(kSlice);
  }
  return path;
}

std::uint64_t bytes_or_infinity(std::int64_t value) {
  return value < 0 ? kInfinity : static_cast<std::uint64_t>(value);
}

// Bit n of byte n / 8 is CPU n.
std::vector<std::uint8_t> bit_mask(const std::string& list, const char* field) {
  std::vector<std::uint8_t> out;
  for (const std::uint16_t number : kernel::parse_cpu_list(list)) {
    out.resize(std::max<std::size_t>(out.size(), number / 8U + 1));
    out[number / 8U] = static_cast<std::uint8_t>(out[number / 8U] | 1U << number % 8U);
  }
  if (out.empty())
    fail(ErrorKind::invalid_argument, "linux.resources.cpu.{}: \"{}\" is no list", field, printable(list));
  return out;
}

void memory_properties(const oci::LinuxMemory& memory, bool unified, std::vector<UnitProperty>& out) {
  if (memory.limit.value_or(0) != 0)
    out.push_back({unified ? "MemoryMax" : "MemoryLimit", bytes_or_infinity(*memory.limit)});
  if (!unified) return;
  if (memory.reservation.value_or(0) != 0) out.push_back({"MemoryLow", bytes_or_infinity(*memory.reservation)});
  // The sum has no name on v2.
  const std::int64_t swap = memory.swap.value_or(0);
  if (swap < 0)
    out.push_back({"MemorySwapMax", kInfinity});
  else if (swap > 0 && memory.limit.value_or(-1) >= 0 && swap >= *memory.limit)
    out.push_back({"MemorySwapMax", static_cast<std::uint64_t>(swap - *memory.limit)});
}

void cpu_properties(const oci::LinuxCpu& cpu, bool unified, std::vector<UnitProperty>& out) {
  if (const std::uint64_t shares = cpu.shares.value_or(0); shares != 0) {
    if (unified)
      out.push_back({"CPUWeight", kernel::cpu_shares_to_weight(shares)});
    else
      out.push_back({"CPUShares", shares});
  }
  if (cpu.quota.value_or(0) != 0 || cpu.period.value_or(0) != 0) {
    const std::uint64_t period = cpu.period.value_or(0) != 0 ? *cpu.period : kDefaultPeriod;
    std::uint64_t per_second = kInfinity;
    if (const std::int64_t quota = cpu.quota.value_or(0); quota > 0) {
      // systemd counts in hundredths of a percent, and we round up rather than take time away.
      constexpr std::uint64_t kStep = 10'000;
      per_second = static_cast<std::uint64_t>(quota) * kMicroseconds / period;
      per_second = (per_second + kStep - 1) / kStep * kStep;
    }
    out.push_back({"CPUQuotaPerSecUSec", per_second});
    out.push_back({"CPUQuotaPeriodUSec", period});
  }
  if (!unified) return;
  if (!cpu.cpus.empty()) out.push_back({"AllowedCPUs", bit_mask(cpu.cpus, "cpus")});
  if (!cpu.mems.empty()) out.push_back({"AllowedMemoryNodes", bit_mask(cpu.mems, "mems")});
}

}  // namespace

SystemdPlace systemd_place(const std::string& cgroups_path, const std::string& id, const std::string& default_slice) {
  SystemdPlace out;
  std::string prefix = "bryo", name = id;
  out.slice = default_slice;
  if (!cgroups_path.empty()) {
    const auto parts = split(cgroups_path, ':');
    if (parts.size() != 3 || parts[2].empty())
      fail(ErrorKind::invalid_argument,
           "linux.cgroupsPath: \"{}\" must be of the form slice:prefix:name for --systemd-cgroup",
           printable(cgroups_path));
    if (!parts[0].empty()) out.slice = parts[0];
    prefix = parts[1];
    name = parts[2];
  }
  if (name.ends_with(kSlice))
    fail(ErrorKind::unsupported,
         "linux.cgroupsPath: a container in the slice {} itself is not supported: no process "
         "may be in a slice; give slice:prefix:name",
         printable(name));
  out.unit = (prefix.empty() ? "" : prefix + "-") + name + ".scope";
  check_unit_name(out.unit);
  out.path = slice_path(out.slice) + "/" + out.unit;
  return out;
}

std::vector<UnitProperty> limit_properties(const oci::LinuxResources& resources, kernel::CgroupVersion version) {
  const bool unified = version == kernel::CgroupVersion::v2;
  std::vector<UnitProperty> out;
  if (resources.memory) memory_properties(*resources.memory, unified, out);
  if (resources.cpu) cpu_properties(*resources.cpu, unified, out);
  if (resources.block_io && resources.block_io->weight.value_or(0) != 0) {
    const std::uint64_t weight = *resources.block_io->weight;
    if (unified)
      out.push_back({"IOWeight", kernel::io_weight_to_v2(weight)});
    else
      out.push_back({"BlockIOWeight", weight});
  }
  if (resources.pids && resources.pids->limit.value_or(0) != 0)
    out.push_back({"TasksMax", bytes_or_infinity(*resources.pids->limit)});
  return out;
}

std::vector<UnitProperty> scope_properties(const SystemdPlace& place, const std::string& id, pid_t pid,
                                           const oci::LinuxResources& resources, kernel::CgroupVersion version,
                                           const std::vector<UnitProperty>& others) {
  std::vector<UnitProperty> out = {{"Description", "Bryo container " + id},
                                   {"Slice", place.slice},
                                   {"Delegate", true},
                                   {"PIDs", std::vector<std::uint32_t>{static_cast<std::uint32_t>(pid)}}};
  for (const char* accounting : {"MemoryAccounting", "CPUAccounting", "TasksAccounting"})
    out.push_back({accounting, true});
  out.push_back({version == kernel::CgroupVersion::v2 ? "IOAccounting" : "BlockIOAccounting", true});
  // Without it a scope would end at shutdown before those that need it, and begin after basic.target.
  out.push_back({"DefaultDependencies", false});
  out.insert(out.end(), others.begin(), others.end());
  for (UnitProperty& limit : limit_properties(resources, version)) out.push_back(std::move(limit));
  return out;
}

}  // namespace bryo::runtime::command

// update: other limits for a container that exists.
#include <fcntl.h>

#include <cmath>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/launch.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMaxResources = 1024 * 1024;

constexpr Option kOptions[] = {
    {"resources", "r", true},        {"blkio-weight", "", true},   {"cpu-period", "", true},
    {"cpu-quota", "", true},         {"cpu-burst", "", true},      {"cpu-share", "", true},
    {"cpu-rt-period", "", true},     {"cpu-rt-runtime", "", true}, {"cpu-idle", "", true},
    {"cpuset-cpus", "", true},       {"cpuset-mems", "", true},    {"kernel-memory", "", true},
    {"kernel-memory-tcp", "", true}, {"memory", "", true},         {"memory-reservation", "", true},
    {"memory-swap", "", true},       {"pids-limit", "", true},     {"l3-cache-schema", "", true},
    {"mem-bw-schema", "", true}};

template <typename Integer>
void take_number(const Arguments& arguments, const char* option, std::optional<Integer>& out) {
  if (!arguments.has(option)) return;
  const std::string text = arguments.value(option);
  out = parse_integer<Integer>(text);
  if (!out) fail(ErrorKind::invalid_argument, "invalid value for {}: \"{}\" is not a number", option, printable(text));
}

// "50m", "1.5G", "4096", "-1" for no limit.
std::int64_t parse_size(const std::string& text, const char* option) {
  if (text == "-1") return -1;
  constexpr std::string_view kUnits = "kmgtp";
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string unit = to_lower(trim(std::string_view(text).substr(end)));
  if (unit.ends_with("ib"))
    unit.resize(unit.size() - 2);
  else if (unit.ends_with('b'))
    unit.pop_back();
  const std::size_t power = unit.size() == 1 ? kUnits.find(unit[0]) + 1 : 0;
  const std::string digits = text.substr(0, end);
  char* rest = nullptr;
  const double value = std::ldexp(std::strtod(digits.c_str(), &rest), static_cast<int>(power) * 10);
  if (end == 0 || *rest != '\0' || unit.size() > 1 || (unit.size() == 1 && power == 0) || value > 9e18)
    fail(ErrorKind::invalid_argument, "invalid value for {}: \"{}\" is not a size (such as 64m)", option,
         printable(text));
  return static_cast<std::int64_t>(value);
}

void take_size(const Arguments& arguments, const char* option, std::optional<std::int64_t>& out) {
  if (arguments.has(option)) out = parse_size(arguments.value(option), option);
}

oci::LinuxResources resources_of_options(const Arguments& arguments) {
  oci::LinuxResources out;
  oci::LinuxMemory& memory = out.memory.emplace();
  take_size(arguments, "memory", memory.limit);
  take_size(arguments, "memory-swap", memory.swap);
  take_size(arguments, "memory-reservation", memory.reservation);
  take_size(arguments, "kernel-memory", memory.kernel);
  take_size(arguments, "kernel-memory-tcp", memory.kernel_tcp);
  oci::LinuxCpu& cpu = out.cpu.emplace();
  take_number(arguments, "cpu-share", cpu.shares);
  take_number(arguments, "cpu-quota", cpu.quota);
  take_number(arguments, "cpu-period", cpu.period);
  take_number(arguments, "cpu-burst", cpu.burst);
  take_number(arguments, "cpu-rt-runtime", cpu.realtime_runtime);
  take_number(arguments, "cpu-rt-period", cpu.realtime_period);
  take_number(arguments, "cpu-idle", cpu.idle);
  cpu.cpus = arguments.value("cpuset-cpus");
  cpu.mems = arguments.value("cpuset-mems");
  take_number(arguments, "pids-limit", out.pids.emplace().limit);
  take_number(arguments, "blkio-weight", out.block_io.emplace().weight);
  return out;
}

oci::LinuxResources read_resources(const Arguments& arguments) {
  if (arguments.has("l3-cache-schema") || arguments.has("mem-bw-schema"))
    fail(ErrorKind::unsupported, "--l3-cache-schema and --mem-bw-schema need Intel RDT, which is not supported");
  if (!arguments.has("resources")) return resources_of_options(arguments);
  const std::string file = arguments.value("resources");
  const UniqueFd fd = file == "-" ? UniqueFd() : kernel::open_trusted(file, O_RDONLY);
  return oci::parse_resources(kernel::read_file(fd ? fd.get() : 0, kMaxResources));
}

// Engines send every member, and 0 for what shall stay.
template <typename Number>
void merge(std::optional<Number>& change, std::optional<Number>& kept) {
  if (change && *change == 0) change.reset();
  if (change) kept = change;
}
void merge(std::string& change, std::string& kept) {
  if (!change.empty()) kept = change;
}

void merge_memory(oci::LinuxMemory& change, oci::LinuxMemory& kept) {
  merge(change.limit, kept.limit);
  merge(change.swap, kept.swap);
  merge(change.reservation, kept.reservation);
  merge(change.kernel, kept.kernel);
  merge(change.kernel_tcp, kept.kernel_tcp);
  // 0 is a swappiness.
  if (change.swappiness) kept.swappiness = change.swappiness;
  if (change.disable_oom_killer) kept.disable_oom_killer = change.disable_oom_killer;
  if (change.check_before_update) kept.check_before_update = change.check_before_update;
  // v2 has no file for the sum, so the kernel module wants both numbers.
  if (change.swap && !change.limit) change.limit = kept.limit;
}

void merge_cpu(oci::LinuxCpu& change, oci::LinuxCpu& kept) {
  merge(change.shares, kept.shares);
  merge(change.quota, kept.quota);
  merge(change.period, kept.period);
  if (change.burst) kept.burst = change.burst;
  if (change.idle) kept.idle = change.idle;
  merge(change.realtime_runtime, kept.realtime_runtime);
  merge(change.realtime_period, kept.realtime_period);
  merge(change.cpus, kept.cpus);
  merge(change.mems, kept.mems);
  // cpu.max takes both in one line.
  if (change.period && !change.quota) change.quota = kept.quota;
}

template <typename Entry>
void merge_list(const std::vector<Entry>& change, std::vector<Entry>& kept) {
  for (const Entry& entry : change) {
    const auto same = [&](const Entry& e) { return e.major == entry.major && e.minor == entry.minor; };
    std::erase_if(kept, same);
    kept.push_back(entry);
  }
}

void merge_io(oci::LinuxBlockIo& change, oci::LinuxBlockIo& kept) {
  merge(change.weight, kept.weight);
  merge_list(change.weight_device, kept.weight_device);
  merge_list(change.throttle_read_bps_device, kept.throttle_read_bps_device);
  merge_list(change.throttle_write_bps_device, kept.throttle_write_bps_device);
  merge_list(change.throttle_read_iops_device, kept.throttle_read_iops_device);
  merge_list(change.throttle_write_iops_device, kept.throttle_write_iops_device);
}

// Drops from `change` what stays as it is, and takes the rest into `kept`.
void merge_resources(oci::LinuxResources& change, oci::LinuxResources& kept) {
  const auto both = [](auto& from, auto& to, auto merge_members) {
    if (!from) return;
    if (!to) to.emplace();
    merge_members(*from, *to);
  };
  both(change.memory, kept.memory, merge_memory);
  both(change.cpu, kept.cpu, merge_cpu);
  both(change.block_io, kept.block_io, merge_io);
  if (change.pids) merge(change.pids->limit, (kept.pids ? *kept.pids : kept.pids.emplace()).limit);
  for (const auto& page : change.hugepage_limits) {
    std::erase_if(kept.hugepage_limits, [&](const auto& known) { return known.page_size == page.page_size; });
    kept.hugepage_limits.push_back(page);
  }
  for (const auto& [device, limit] : change.rdma) kept.rdma[device] = limit;
  for (const auto& [file, value] : change.unified) kept.unified[file] = value;
}

// v2 kills rather than refuses when the limit falls below what is used (config-linux.md, checkBeforeUpdate).
void check_memory(const kernel::ContainerCgroup& cgroup, const oci::LinuxMemory& change, bool wanted) {
  if (!wanted || !change.limit || *change.limit < 0) return;
  const std::uint64_t used = cgroup.stats().memory_usage;
  if (used > static_cast<std::uint64_t>(*change.limit))
    fail(ErrorKind::conflict, "memory limit {}: the container uses {} bytes now (memory.checkBeforeUpdate)",
         *change.limit, used);
}

void apply_or_restore(const kernel::ContainerCgroup& cgroup, const oci::LinuxResources& change,
                      const oci::LinuxResources& before) {
  try {
    cgroup.update(limits_of(change));
  } catch (const Error& failure) {
    try {
      cgroup.update(limits_of(before));
    } catch (const Error&) {
      // What the kernel takes no longer stays; the failure that counts is the first.
      throw failure;
    }
    throw;
  }
}

}  // namespace

int update_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, kOptions).exactly(1, "update");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  oci::LinuxResources change = read_resources(arguments);
  if (status_of(state) == Status::stopped) fail(ErrorKind::conflict, "container not running");
  const kernel::ContainerCgroup cgroup = cgroup_of(state);
  oci::RuntimeSpec spec = context.states.load_spec(state.id);
  oci::LinuxResources kept = spec.linux_->resources.value_or(oci::LinuxResources{});
  const oci::LinuxResources before = kept;
  merge_resources(change, kept);
  if (change.memory) check_memory(cgroup, *change.memory, kept.memory->check_before_update.value_or(false));
  apply_or_restore(cgroup, change, before);
  // What it does not know it would undo when it reloads.
  if (!state.systemd_unit.empty())
    connect_to_systemd().set_properties(state.systemd_unit,
                                        limit_properties(change, kernel::CgroupLayout::detect().version()));
  spec.linux_->resources = std::move(kept);
  context.states.save(state, oci::format_runtime_spec(spec));
  return 0;
}

}  // namespace bryo::runtime::command

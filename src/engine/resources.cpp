#include "engine/resources.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <csignal>
#include <thread>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/rlimits.hpp"

namespace bryo::engine {
namespace {

constexpr std::int64_t kMinMemory = 4 << 20;
constexpr std::int64_t kCpuPeriod = 100'000;  // microseconds

struct SignalName {
  std::string_view name;
  int number;
};
constexpr std::array kSignals = {
    SignalName{"HUP", SIGHUP},       SignalName{"INT", SIGINT},       SignalName{"QUIT", SIGQUIT},
    SignalName{"ILL", SIGILL},       SignalName{"TRAP", SIGTRAP},     SignalName{"ABRT", SIGABRT},
    SignalName{"BUS", SIGBUS},       SignalName{"FPE", SIGFPE},       SignalName{"KILL", SIGKILL},
    SignalName{"USR1", SIGUSR1},     SignalName{"SEGV", SIGSEGV},     SignalName{"USR2", SIGUSR2},
    SignalName{"PIPE", SIGPIPE},     SignalName{"ALRM", SIGALRM},     SignalName{"TERM", SIGTERM},
    SignalName{"STKFLT", SIGSTKFLT}, SignalName{"CHLD", SIGCHLD},     SignalName{"CONT", SIGCONT},
    SignalName{"STOP", SIGSTOP},     SignalName{"TSTP", SIGTSTP},     SignalName{"TTIN", SIGTTIN},
    SignalName{"TTOU", SIGTTOU},     SignalName{"URG", SIGURG},       SignalName{"XCPU", SIGXCPU},
    SignalName{"XFSZ", SIGXFSZ},     SignalName{"VTALRM", SIGVTALRM}, SignalName{"PROF", SIGPROF},
    SignalName{"WINCH", SIGWINCH},   SignalName{"IO", SIGIO},         SignalName{"PWR", SIGPWR},
    SignalName{"SYS", SIGSYS},       SignalName{"IOT", SIGIOT},       SignalName{"CLD", SIGCHLD},
    SignalName{"POLL", SIGPOLL},     SignalName{"RTMIN", 34},         SignalName{"RTMAX", 64}};

// CVE-2018-20699: "0-2147483647" must not become an array of that size.
void check_cpu_list(std::string_view list, std::string_view what, std::string_view field, unsigned limit) {
  if (list.empty()) return;
  for (const std::string_view piece : split(list, ',')) {
    const auto range = split_once(piece, '-');
    const auto first = parse_integer<unsigned>(range ? range->first : piece);
    const auto last = range ? parse_integer<unsigned>(range->second) : first;
    if (!first || !last || *last < *first)
      fail(ErrorKind::invalid_argument, "Invalid value {} for {}", printable(list), field);
    if (*last >= limit)
      fail(ErrorKind::invalid_argument, "Requested {} are not available - requested {}, available: 0-{}", what,
           printable(list), limit - 1);
  }
}

void check_memory(Resources& r, std::vector<std::string>& warnings) {
  if (r.memory < 0 || (r.memory > 0 && r.memory < kMinMemory))
    fail(ErrorKind::invalid_argument, "Minimum memory limit allowed is 6MB: {} bytes is below 4MB", r.memory);
  if (r.memory_swap > 0 && r.memory == 0)
    fail(ErrorKind::invalid_argument, "You should always set the Memory limit when using Memoryswap limit, see usage");
  if (r.memory_swap > 0 && r.memory_swap < r.memory)
    fail(ErrorKind::invalid_argument, "Minimum memoryswap limit should be larger than memory limit, see usage");
  if (r.memory_swap < -1) fail(ErrorKind::invalid_argument, "invalid memory swap limit {}", r.memory_swap);
  if (r.memory_reservation < 0 || (r.memory > 0 && r.memory_reservation > r.memory))
    fail(ErrorKind::invalid_argument, "Minimum memory limit can not be less than memory reservation limit, see usage");
  if (r.memory_swappiness && (*r.memory_swappiness < -1 || *r.memory_swappiness > 100))
    fail(ErrorKind::invalid_argument, "Invalid value: {}, valid memory swappiness range is 0-100",
         *r.memory_swappiness);
  if (r.oom_kill_disable && *r.oom_kill_disable && r.memory == 0)
    warnings.emplace_back(
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the "
        "system running out of resources.");
}

void check_cpu(Resources& r) {
  const unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
  if (r.nano_cpus < 0 || r.nano_cpus > static_cast<std::int64_t>(cpus) * 1'000'000'000)
    fail(ErrorKind::invalid_argument, "Range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available", cpus,
         cpus);
  if (r.nano_cpus > 0 && (r.cpu_period != 0 || r.cpu_quota != 0))
    fail(ErrorKind::invalid_argument,
         "Conflicting options: Nano CPUs cannot be updated as CPU Period or Quota has already been set");
  if (r.cpu_shares < 0)
    fail(ErrorKind::invalid_argument, "invalid CPU shares ({}): value must be a positive integer", r.cpu_shares);
  if (r.cpu_period != 0 && (r.cpu_period < 1000 || r.cpu_period > 1'000'000))
    fail(ErrorKind::invalid_argument,
         "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  if (r.cpu_quota != 0 && r.cpu_quota != -1 && r.cpu_quota < 1000)
    fail(ErrorKind::invalid_argument, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  if (r.cpu_realtime_period < 0 || r.cpu_realtime_runtime < 0)
    fail(ErrorKind::invalid_argument, "cpu real-time period and runtime cannot be negative");
  if (r.cpu_realtime_period != 0 && r.cpu_realtime_runtime > r.cpu_realtime_period)
    fail(ErrorKind::invalid_argument, "cpu real-time runtime cannot be higher than cpu real-time period");
  check_cpu_list(r.cpuset_cpus, "CPUs", "cpuset cpus", cpus);
  check_cpu_list(r.cpuset_mems, "memory nodes", "cpuset mems", 1024);
}

dev_t block_device(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) fail_errno("stat {}", printable(path));
  if (!S_ISBLK(info.st_mode)) fail(ErrorKind::invalid_argument, "{} is not a block device", printable(path));
  return info.st_rdev;
}

// bfq is the one scheduler that knows weights of v1 (Documentation/block/bfq-iosched.rst, section 4-2).
bool has_weights(const std::string& path) {
  const dev_t number = block_device(path);
  const std::string device = fmt::format("/sys/dev/block/{}:{}", major(number), minor(number));
  for (const char* queue : {"/queue/scheduler", "/../queue/scheduler"}) {  // of the disk, of a partition's disk
    if (!kernel::try_stat_at(AT_FDCWD, device + queue)) continue;
    const UniqueFd file = kernel::open_at(AT_FDCWD, device + queue, O_RDONLY);
    return kernel::read_file(file.get(), 4096).find("[bfq]") != std::string::npos;
  }
  return false;
}

// As dockerd does where the kernel has no such file.
void discard_weights_of_devices(Resources& r, std::vector<std::string>& warnings) {
  std::erase_if(*r.blkio_weight_device, [&](const WeightDevice& device) {
    if (has_weights(device.path)) return false;
    warnings.push_back(fmt::format(
        "Your kernel does not support Block I/O weight_device for {}, whose scheduler is not bfq. Weight-device "
        "discarded.",
        device.path));
    return true;
  });
}

void check_io_weights(const Resources& r) {
  const auto in_range = [](unsigned weight) { return weight >= 10 && weight <= 1000; };
  if (r.blkio_weight != 0 && !in_range(r.blkio_weight))
    fail(ErrorKind::invalid_argument, "Range of blkio weight is from 10 to 1000");
  for (const WeightDevice& device : r.blkio_weight_device.value_or(std::vector<WeightDevice>{}))
    if (!in_range(device.weight))
      fail(ErrorKind::invalid_argument, "Range of blkio weight is from 10 to 1000: {} has {}", printable(device.path),
           device.weight);
}

bool given(const std::optional<std::vector<ThrottleDevice>>& list) { return list && !list->empty(); }
bool given(const std::optional<std::vector<WeightDevice>>& list) { return list && !list->empty(); }

// A limit of Docker's: what keeps it, whether it is asked for, and how it is left out.
struct Limit {
  std::string_view option;
  std::string_view controller;
  bool (*wanted)(const Resources& r);
  void (*drop)(Resources& r);
};

using R = Resources;
constexpr Limit kLimits[] = {
    {"--memory", "memory", [](const R& r) { return r.memory > 0; }, [](R& r) { r.memory = r.memory_swap = 0; }},
    {"--memory-reservation", "memory", [](const R& r) { return r.memory_reservation > 0; },
     [](R& r) { r.memory_reservation = 0; }},
    {"--memory-swappiness", "memory", [](const R& r) { return r.memory_swappiness.value_or(-1) >= 0; },
     [](R& r) { r.memory_swappiness.reset(); }},
    {"--oom-kill-disable", "memory", [](const R& r) { return r.oom_kill_disable.value_or(false); },
     [](R& r) { r.oom_kill_disable.reset(); }},
    {"--cpus", "cpu", [](const R& r) { return r.nano_cpus > 0; }, [](R& r) { r.nano_cpus = 0; }},
    {"--cpu-shares", "cpu", [](const R& r) { return r.cpu_shares > 0; }, [](R& r) { r.cpu_shares = 0; }},
    {"--cpu-period", "cpu", [](const R& r) { return r.cpu_period > 0; }, [](R& r) { r.cpu_period = 0; }},
    {"--cpu-quota", "cpu", [](const R& r) { return r.cpu_quota > 0; }, [](R& r) { r.cpu_quota = 0; }},
    {"--cpu-rt-period", "cpu", [](const R& r) { return r.cpu_realtime_period > 0; },
     [](R& r) { r.cpu_realtime_period = 0; }},
    {"--cpu-rt-runtime", "cpu", [](const R& r) { return r.cpu_realtime_runtime > 0; },
     [](R& r) { r.cpu_realtime_runtime = 0; }},
    {"--cpuset-cpus", "cpuset", [](const R& r) { return !r.cpuset_cpus.empty(); }, [](R& r) { r.cpuset_cpus.clear(); }},
    {"--cpuset-mems", "cpuset", [](const R& r) { return !r.cpuset_mems.empty(); }, [](R& r) { r.cpuset_mems.clear(); }},
    {"--pids-limit", "pids", [](const R& r) { return r.pids_limit.value_or(0) > 0; },
     [](R& r) { r.pids_limit.reset(); }},
    {"--blkio-weight", "io", [](const R& r) { return r.blkio_weight > 0; }, [](R& r) { r.blkio_weight = 0; }},
    {"--blkio-weight-device", "io", [](const R& r) { return given(r.blkio_weight_device); },
     [](R& r) { r.blkio_weight_device.reset(); }},
    {"--device-read-bps", "io", [](const R& r) { return given(r.blkio_device_read_bps); },
     [](R& r) { r.blkio_device_read_bps.reset(); }},
    {"--device-write-bps", "io", [](const R& r) { return given(r.blkio_device_write_bps); },
     [](R& r) { r.blkio_device_write_bps.reset(); }},
    {"--device-read-iops", "io", [](const R& r) { return given(r.blkio_device_read_iops); },
     [](R& r) { r.blkio_device_read_iops.reset(); }},
    {"--device-write-iops", "io", [](const R& r) { return given(r.blkio_device_write_iops); },
     [](R& r) { r.blkio_device_write_iops.reset(); }},
};

// v1 has another name for one of them.
std::string_view name_here(std::string_view controller, const kernel::CgroupLayout& cgroups) {
  return controller == "io" && cgroups.version() != kernel::CgroupVersion::v2 &&
                 cgroups.version() != kernel::CgroupVersion::none
             ? "blkio"
             : controller;
}

void leave_out(const LimitRules& rules, const std::string& problem, std::vector<std::string>& warnings) {
  if (rules.strict)
    fail(ErrorKind::unsupported,
         "{}. To run without the limit, leave the option out or start bryod with "
         "--cgroup-limits=warn",
         problem);
  warnings.push_back(problem + ". The limit is left out");
}

std::string limit_text(std::uint64_t value) { return value == UINT64_MAX ? "unlimited" : std::to_string(value); }

// Monitors have the limits and the rights of this process, so what it may give is what they may give.
void check_ulimits(const Resources& resources, std::vector<std::string>& warnings) {
  if (!resources.ulimits) return;
  for (const Ulimit& limit : *resources.ulimits) {
    const auto resource = kernel::resource_number(limit.name);
    if (!resource) fail(ErrorKind::invalid_argument, "invalid ulimit type: {}", printable(limit.name));
    const auto hard = static_cast<std::uint64_t>(limit.hard);
    const std::uint64_t most = kernel::attainable_limit(*resource, hard);
    if (most == hard) continue;
    const bool files_of_host = most > kernel::own_limits(*resource).hard;
    warnings.push_back(fmt::format(
        "--ulimit {}: the hard limit {} is above {}, the most that this engine may give, which the container gets. To "
        "give more, raise {}",
        limit.name, limit_text(hard), limit_text(most),
        files_of_host ? "the sysctl fs.nr_open of the host"
                      : "the hard limit of bryod itself (Limit… of its systemd unit, or limits.conf)"));
  }
}

void add_rates(std::vector<kernel::CgroupDeviceRate>& out, const std::optional<std::vector<ThrottleDevice>>& devices) {
  if (!devices) return;
  for (const ThrottleDevice& device : *devices) {
    const dev_t number = block_device(device.path);
    out.push_back({major(number), minor(number), device.rate});
  }
}

kernel::CgroupDeviceRule rule_of(std::string_view text) {
  const auto words = split(text, ' ');
  const auto numbers = words.size() == 3 ? split_once(words[1], ':') : std::nullopt;
  if (!numbers || words[0].size() != 1 || std::string_view("abc").find(words[0][0]) == std::string_view::npos ||
      words[2].empty() || words[2].find_first_not_of("rwm") != std::string_view::npos)
    fail(ErrorKind::invalid_argument, "invalid device cgroup rule format: '{}'", printable(text));
  kernel::CgroupDeviceRule rule{.allow = true, .type = words[0][0], .access = std::string(words[2])};
  const auto number = [&](std::string_view part) -> std::optional<std::uint32_t> {
    if (part == "*") return std::nullopt;
    const auto value = parse_integer<std::uint32_t>(part);
    if (!value) fail(ErrorKind::invalid_argument, "invalid device cgroup rule format: '{}'", printable(text));
    return value;
  };
  rule.major = number(numbers->first);
  rule.minor = number(numbers->second);
  return rule;
}

}  // namespace

void settle_limits(Resources& resources, const LimitRules& rules, std::vector<std::string>& warnings) {
  if (rules.cgroups.version() == kernel::CgroupVersion::v2 &&
      (resources.cpu_realtime_period > 0 || resources.cpu_realtime_runtime > 0)) {
    leave_out(rules, "--cpu-rt-period and --cpu-rt-runtime: cgroup version 2 has no real-time limits", warnings);
    resources.cpu_realtime_period = resources.cpu_realtime_runtime = 0;
  }
  for (const Limit& limit : kLimits) {
    if (!limit.wanted(resources)) continue;
    const std::string_view controller = name_here(limit.controller, rules.cgroups);
    if (rules.cgroups.has(controller)) continue;
    leave_out(
        rules,
        fmt::format("{} needs the cgroup controller \"{}\": {}", limit.option, controller, rules.remedy(controller)),
        warnings);
    limit.drop(resources);
  }
  if (rules.cgroups.version() != kernel::CgroupVersion::v2 && given(resources.blkio_weight_device))
    discard_weights_of_devices(resources, warnings);
  if (rules.device_rules || !resources.device_cgroup_rules || resources.device_cgroup_rules->empty()) return;
  leave_out(
      rules,
      "--device-cgroup-rule: only root may tell the kernel which device numbers a container may use; a device file "
      "that you may open is given with --device",
      warnings);
  resources.device_cgroup_rules.reset();
}

void check_resources(Resources& resources, const LimitRules& rules, std::vector<std::string>& warnings) {
  check_memory(resources, warnings);
  check_cpu(resources);
  check_io_weights(resources);
  check_ulimits(resources, warnings);
  settle_limits(resources, rules, warnings);
  if (resources.device_cgroup_rules)
    for (const std::string& rule : *resources.device_cgroup_rules) rule_of(rule);
}

kernel::CgroupLimits cgroup_limits(const Resources& r) {
  kernel::CgroupLimits out;
  if (r.memory > 0) {
    out.memory = r.memory;
    // Docker's default: as much swap as memory.
    out.memory_swap = r.memory_swap == 0 ? r.memory * 2 : r.memory_swap;
  }
  if (r.memory_reservation > 0) out.memory_reservation = r.memory_reservation;
  if (r.memory_swappiness && *r.memory_swappiness >= 0)
    out.memory_swappiness = static_cast<std::uint64_t>(*r.memory_swappiness);
  out.oom_kill_disable = r.oom_kill_disable.value_or(false);
  if (r.cpu_shares > 0) out.cpu_shares = static_cast<std::uint64_t>(r.cpu_shares);
  if (r.nano_cpus > 0) {
    out.cpu_period = kCpuPeriod;
    out.cpu_quota = r.nano_cpus * kCpuPeriod / 1'000'000'000;
  }
  if (r.cpu_period > 0) out.cpu_period = static_cast<std::uint64_t>(r.cpu_period);
  if (r.cpu_quota != 0) out.cpu_quota = r.cpu_quota;
  if (r.cpu_realtime_period > 0) out.cpu_rt_period = static_cast<std::uint64_t>(r.cpu_realtime_period);
  if (r.cpu_realtime_runtime > 0) out.cpu_rt_runtime = r.cpu_realtime_runtime;
  out.cpuset_cpus = r.cpuset_cpus;
  out.cpuset_mems = r.cpuset_mems;
  if (r.pids_limit && *r.pids_limit != 0) out.pids_max = *r.pids_limit;
  if (r.blkio_weight != 0) out.io_weight = r.blkio_weight;
  for (const WeightDevice& device : r.blkio_weight_device.value_or(std::vector<WeightDevice>{})) {
    const dev_t number = block_device(device.path);
    out.io_weight_device.push_back({major(number), minor(number), device.weight});
  }
  add_rates(out.io_read_bps, r.blkio_device_read_bps);
  add_rates(out.io_write_bps, r.blkio_device_write_bps);
  add_rates(out.io_read_iops, r.blkio_device_read_iops);
  add_rates(out.io_write_iops, r.blkio_device_write_iops);
  return out;
}

std::vector<kernel::CgroupDeviceRule> cgroup_devices(const HostConfig& host) {
  if (host.privileged) return {};
  using Rule = kernel::CgroupDeviceRule;
  // Nothing, then: making nodes (not using them), null, zero, full, random, urandom, tty, console, ptmx, the pts.
  std::vector<Rule> rules = {
      {.allow = false}, {.allow = true, .type = 'c', .access = "m"}, {.allow = true, .type = 'b', .access = "m"}};
  constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 8> nodes = {
      {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}}};
  for (const auto& [major_number, minor_number] : nodes)
    rules.push_back({.allow = true, .type = 'c', .major = major_number, .minor = minor_number});
  rules.push_back({.allow = true, .type = 'c', .major = 136});
  if (host.devices) {
    for (const DeviceMapping& device : *host.devices) {
      struct stat info {};
      if (::stat(device.path_on_host.c_str(), &info) != 0) continue;  // the spec builder reports it
      if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) continue;
      rules.push_back({.allow = true,
                       .type = S_ISBLK(info.st_mode) ? 'b' : 'c',
                       .major = major(info.st_rdev),
                       .minor = minor(info.st_rdev),
                       .access = device.cgroup_permissions.empty() ? "rwm" : device.cgroup_permissions});
    }
  }
  if (host.device_cgroup_rules)
    for (const std::string& rule : *host.device_cgroup_rules) rules.push_back(rule_of(rule));
  return rules;
}

int parse_signal(std::string_view text) {
  if (const auto number = parse_integer<int>(text); number && *number > 0 && *number <= 64) return *number;
  std::string name = to_lower(text);
  for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  std::string_view bare = name;
  if (bare.starts_with("SIG")) bare.remove_prefix(3);
  for (const SignalName& known : kSignals)
    if (known.name == bare) return known.number;
  for (const auto& [prefix, base, sign] : {std::tuple{"RTMIN+", 34, 1}, std::tuple{"RTMAX-", 64, -1}}) {
    if (!bare.starts_with(prefix)) continue;
    if (const auto offset = parse_integer<unsigned>(bare.substr(6)); offset && *offset <= 30)
      return base + sign * static_cast<int>(*offset);
  }
  fail(ErrorKind::invalid_argument, "Invalid signal: {}", printable(text));
}

}  // namespace bryo::engine

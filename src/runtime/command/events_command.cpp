// events: what a container uses, at intervals, and when the OOM killer struck. The JSON is runc's.
#include <poll.h>

#include <chrono>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "kernel/cgroup_details.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/launch.hpp"

namespace bryo::runtime::command {
namespace {

using kernel::CgroupDetails;
using kernel::CgroupMemoryCounter;
using Clock = std::chrono::steady_clock;

// What is zero is left out, as runc's encoder does.
void put(json::Object& out, const char* name, std::uint64_t value) {
  if (value != 0) out[name] = value;
}
template <typename Number>
void put(json::Object& out, const char* name, const std::vector<Number>& list) {
  if (!list.empty()) out[name] = json::encode(list);
}

json::Object cpu_of(const CgroupDetails& details) {
  const kernel::CgroupStats& stats = details.stats;
  json::Object usage;
  put(usage, "total", stats.cpu_total);
  put(usage, "percpu", stats.cpu_per_cpu);
  put(usage, "percpu_kernel", details.cpu_kernel_per_cpu);
  put(usage, "percpu_user", details.cpu_user_per_cpu);
  usage["kernel"] = stats.cpu_system;
  usage["user"] = stats.cpu_user;
  json::Object throttling;
  put(throttling, "periods", stats.throttling_periods);
  put(throttling, "throttledPeriods", stats.throttled_periods);
  put(throttling, "throttledTime", stats.throttled_time);
  return {{"usage", usage}, {"throttling", throttling}};
}

json::Object cpuset_of(const kernel::CgroupCpuset& cpuset) {
  json::Object out;
  put(out, "cpus", cpuset.cpus);
  put(out, "mems", cpuset.mems);
  for (const char* name : {"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
                           "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"}) {
    const auto found = cpuset.flags.find(std::string("cpuset.") + name);
    out[name] = found == cpuset.flags.end() ? 0 : found->second;
  }
  return out;
}

json::Object counter_of(const CgroupMemoryCounter& counter) {
  json::Object out;
  out["limit"] = counter.limit;
  put(out, "usage", counter.usage);
  put(out, "max", counter.max_usage);
  out["failcnt"] = counter.failures;
  return out;
}

json::Object memory_of(const CgroupDetails& details) {
  const kernel::CgroupStats& stats = details.stats;
  const auto& raw = stats.memory_stat;
  json::Object out;
  for (const char* name : {"cache", "file"})
    if (const auto found = raw.find(name); found != raw.end()) put(out, "cache", found->second);
  out["usage"] = counter_of({stats.memory_limit, stats.memory_usage, stats.memory_max_usage, stats.memory_failures});
  out["swap"] = counter_of(details.swap);
  out["kernel"] = counter_of(details.kernel);
  out["kernelTCP"] = counter_of(details.kernel_tcp);
  if (!raw.empty()) out["raw"] = json::encode(raw);
  return out;
}

void put(json::Object& out, const char* name, const std::vector<kernel::CgroupStats::BlockEntry>& entries) {
  json::Array list;
  for (const auto& entry : entries) {
    json::Object item;
    put(item, "major", entry.major);
    put(item, "minor", entry.minor);
    // As the kernel of v1 writes it: "Read".
    std::string operation = entry.operation;
    if (!operation.empty()) operation[0] = static_cast<char>(operation[0] - 'a' + 'A');
    item["op"] = operation;
    put(item, "value", entry.value);
    list.push_back(std::move(item));
  }
  if (!list.empty()) out[name] = std::move(list);
}

json::Object hugepages_of(const CgroupDetails& details) {
  json::Object out;
  for (const auto& [size, counter] : details.hugepages) {
    json::Object entry;
    put(entry, "usage", counter.usage);
    put(entry, "max", counter.max_usage);
    entry["failcnt"] = counter.failures;
    out[size] = entry;
  }
  return out;
}

json::Object stats_of(const CgroupDetails& details) {
  json::Object pids;
  put(pids, "current", details.stats.pids_current);
  put(pids, "limit", details.stats.pids_limit);
  json::Object blkio;
  put(blkio, "ioServiceBytesRecursive", details.stats.io_service_bytes);
  put(blkio, "ioServicedRecursive", details.stats.io_serviced);
  return {{"cpu", cpu_of(details)},
          {"cpuset", cpuset_of(details.cpuset)},
          {"memory", memory_of(details)},
          {"pids", pids},
          {"blkio", blkio},
          {"hugetlb", hugepages_of(details)},
          {"intel_rdt", json::Object()},
          {"network_interfaces", nullptr}};
}

class EventPrinter {
 public:
  explicit EventPrinter(const ContainerState& state)
      : id_(state.id), path_(state.cgroup_path), layout_(kernel::CgroupLayout::once()) {}

  void stats() const {
    print({{"type", "stats"}, {"id", id_}, {"data", stats_of(kernel::cgroup_details(layout_, path_))}});
  }

  // Until the container's first process has ended.
  void follow(int init, std::chrono::nanoseconds interval) {
    kernel::OomWatch killer(layout_, path_);
    auto next = Clock::now() + interval;
    while (true) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
      struct pollfd waited[2] = {{init, POLLIN, 0}, {killer.descriptor(), POLLIN, 0}};
      if (::poll(waited, 2, static_cast<int>(std::clamp<long long>(left, 0, 3'600'000))) < 0 && errno != EINTR)
        fail_errno("poll");
      // What the killer did may be what ended it: it is told first.
      if (waited[1].revents != 0 && killer.take()) print({{"type", "oom"}, {"id", id_}});
      if (waited[0].revents != 0) return;
      if (Clock::now() < next) continue;
      stats();
      next += interval;
    }
  }

 private:
  static void print(const json::Object& event) {
    fmt::print("{}\n", json::serialize(event));
    std::fflush(stdout);
  }

  std::string id_;
  std::string path_;
  kernel::CgroupLayout layout_;
};

std::chrono::nanoseconds parse_interval(const std::string& text) {
  const auto interval = parse_duration(text);
  if (!interval) fail(ErrorKind::invalid_argument, "interval: \"{}\" is not a duration (such as 5s)", printable(text));
  if (interval->count() <= 0) fail(ErrorKind::invalid_argument, "duration interval must be greater than 0");
  return *interval;
}

}  // namespace

int events_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"interval", "", true}, {"stats", "", false}};
  const Arguments arguments = Arguments::parse(words, kOptions).exactly(1, "events");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  const auto interval = parse_interval(arguments.value("interval", "5s"));
  const UniqueFd init = open_init(state);
  if (!init) fail(ErrorKind::conflict, "container with id {} is not running", state.id);
  if (!state.cgroups) fail(ErrorKind::unsupported, "events: the container {} has no cgroup of its own", state.id);
  EventPrinter printer(state);
  if (arguments.has("stats"))
    printer.stats();
  else
    printer.follow(init.get(), interval);
  return 0;
}

}  // namespace bryo::runtime::command

// docker stats: cgroup counters and interface counters in the API's shape.
#include <fcntl.h>
#include <sys/socket.h>

#include <sstream>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/process_group.hpp"
#include "engine/streams.hpp"
#include "kernel/files.hpp"
#include "kernel/host.hpp"

namespace bryo::engine {
namespace {

struct Sample {
  kernel::CgroupStats cgroup;
  std::uint64_t system = 0;
  std::string read = std::string(kZeroTime);
};

json::Value cpu_json(const Sample& sample, const kernel::CgroupLayout& layout, bool empty) {
  json::Object usage{{"total_usage", sample.cgroup.cpu_total},
                     {"usage_in_kernelmode", sample.cgroup.cpu_system},
                     {"usage_in_usermode", sample.cgroup.cpu_user}};
  if (layout.version() != kernel::CgroupVersion::v2 && !sample.cgroup.cpu_per_cpu.empty())
    usage["percpu_usage"] = json::encode(sample.cgroup.cpu_per_cpu);
  json::Object out{{"cpu_usage", std::move(usage)},
                   {"throttling_data", json::Object{{"periods", sample.cgroup.throttling_periods},
                                                    {"throttled_periods", sample.cgroup.throttled_periods},
                                                    {"throttled_time", sample.cgroup.throttled_time}}}};
  if (!empty) {
    out["system_cpu_usage"] = sample.system;
    out["online_cpus"] = kernel::processors();
  }
  return out;
}

json::Value memory_json(const kernel::CgroupStats& stats) {
  json::Object out{{"usage", stats.memory_usage}};
  if (stats.memory_max_usage != 0) out["max_usage"] = stats.memory_max_usage;
  if (stats.memory_failures != 0) out["failcnt"] = stats.memory_failures;
  out["stats"] = json::encode(stats.memory_stat);
  const std::uint64_t host = kernel::total_memory();
  out["limit"] = stats.memory_limit == 0 || stats.memory_limit > host ? host : stats.memory_limit;
  return out;
}

json::Value io_json(const std::vector<kernel::CgroupStats::BlockEntry>& entries) {
  json::Array out;
  for (const auto& entry : entries)
    out.push_back(
        json::Object{{"major", entry.major}, {"minor", entry.minor}, {"op", entry.operation}, {"value", entry.value}});
  return out;
}

// /proc/PID/net/dev of the container's init: its own network namespace.
json::Value networks_json(int pid) {
  json::Object out;
  std::string text;
  try {
    text = kernel::read_file(kernel::open_trusted(fmt::format("/proc/{}/net/dev", pid), O_RDONLY).get(), 1 << 20);
  } catch (const Error&) {
    return out;  // it ended meanwhile
  }
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = split_once(line, ':');
    if (!parts) continue;
    const std::string name(trim(parts->first));
    if (name == "lo") continue;
    std::istringstream numbers{std::string(parts->second)};
    std::uint64_t v[12] = {};
    for (auto& value : v) numbers >> value;
    out[name] = json::Object{{"rx_bytes", v[0]}, {"rx_packets", v[1]}, {"rx_errors", v[2]},  {"rx_dropped", v[3]},
                             {"tx_bytes", v[8]}, {"tx_packets", v[9]}, {"tx_errors", v[10]}, {"tx_dropped", v[11]}};
  }
  return out;
}

class StatsStream : public std::enable_shared_from_this<StatsStream> {
 public:
  StatsStream(Services& services, ContainerPtr container, UniqueFd socket, bool stream)
      : s_(services), container_(std::move(container)), socket_(std::move(socket)), stream_(stream) {}

  // Takes a first sample to compare with; the line goes out a second later (Docker's precpu_stats).
  void begin(bool one_shot) {
    if (!one_shot) sample();
    if (one_shot)
      tick();
    else
      later();
  }

 private:
  void later() {
    s_.pool.post_after(std::chrono::seconds(1), [self = shared_from_this()] { self->tick(); });
  }

  void tick() {
    const Sample before = last_;
    const bool up = sample();
    const std::string line = json::serialize(document(before, up)) + "\n";
    const auto sent = ::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != static_cast<ssize_t>(line.size()) || !stream_) return;  // gone, or too slow to matter
    later();
  }

  bool sample() {
    std::optional<ProcessGroup> group;
    {
      std::lock_guard lock(container_->mutex);
      name_ = container_->record.name;
      id_ = container_->record.id;
      pid_ = container_->process.pid;
      if (container_->is_up()) group.emplace(s_, *container_);
    }
    last_ = {};
    if (!group) return false;
    last_.cgroup = group->stats();
    last_.system = kernel::system_cpu_time();
    last_.read = to_rfc3339_nano(wall_now());
    return true;
  }

  json::Value document(const Sample& before, bool up) const {
    json::Object out{{"read", last_.read}, {"preread", before.read}};
    json::Object pids;
    if (up) pids["current"] = last_.cgroup.pids_current;
    if (up && last_.cgroup.pids_limit != 0) pids["limit"] = last_.cgroup.pids_limit;
    out["pids_stats"] = std::move(pids);
    out["blkio_stats"] = json::Object{{"io_service_bytes_recursive", io_json(last_.cgroup.io_service_bytes)},
                                      {"io_serviced_recursive", io_json(last_.cgroup.io_serviced)}};
    out["num_procs"] = 0;
    out["storage_stats"] = json::Object{};
    out["cpu_stats"] = cpu_json(last_, s_.cgroups, !up);
    out["precpu_stats"] = cpu_json(before, s_.cgroups, before.system == 0);
    out["memory_stats"] = up ? memory_json(last_.cgroup) : json::Value(json::Object{});
    out["name"] = "/" + name_;
    out["id"] = id_;
    if (up) out["networks"] = networks_json(pid_);
    return out;
  }

  Services& s_;
  ContainerPtr container_;
  UniqueFd socket_;
  bool stream_;
  Sample last_;
  std::string name_;
  std::string id_;
  int pid_ = 0;
};

}  // namespace

UniqueFd open_stats(Services& services, const ContainerPtr& container, bool stream, bool one_shot) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) fail_errno("make a socket for stats");
  UniqueFd theirs(fds[0]);
  std::make_shared<StatsStream>(services, container, UniqueFd(fds[1]), stream)->begin(one_shot);
  return theirs;
}

}  // namespace bryo::engine

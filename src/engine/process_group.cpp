#include "engine/process_group.hpp"

#include <signal.h>

#include "base/error.hpp"
#include "kernel/process.hpp"
#include "kernel/processes.hpp"

namespace bryo::engine {
namespace {

std::optional<kernel::ContainerCgroup> open_cgroup(const Services& services, const CgroupName& name) {
  if (name.path.empty()) return std::nullopt;
  if (name.root.empty() || name.root == services.cgroups.unified())
    return kernel::ContainerCgroup::open(services.cgroups, name.path);
  return kernel::ContainerCgroup::open(kernel::CgroupLayout::from_parts({}, name.root), name.path);
}

}  // namespace

ProcessGroup::ProcessGroup(const Services& services, const Container& container)
    : s_(services), cgroup_(open_cgroup(services, container.cgroup)), first_(container.process) {}

ProcessGroup::ProcessGroup(const Services& services, const CgroupName& cgroup)
    : s_(services), cgroup_(open_cgroup(services, cgroup)) {}

std::vector<pid_t> ProcessGroup::pids() const {
  if (cgroup_) return cgroup_->pids();
  if (!kernel::open_process(first_.pid, first_.start_time)) return {};
  return kernel::processes_around(first_.pid);
}

kernel::CgroupStats ProcessGroup::stats() const {
  if (cgroup_) return cgroup_->stats();
  const kernel::ProcessUsage usage = kernel::usage_of(pids());
  kernel::CgroupStats out;
  out.cpu_user = usage.user_time;
  out.cpu_system = usage.system_time;
  out.cpu_total = usage.user_time + usage.system_time;
  out.memory_usage = usage.memory;
  out.pids_current = usage.threads;
  out.io_service_bytes = {{0, 0, "read", usage.read_bytes}, {0, 0, "write", usage.written_bytes}};
  return out;
}

const kernel::ContainerCgroup& ProcessGroup::require(std::string_view what) const {
  if (!cgroup_)
    fail(ErrorKind::unsupported, "cannot {}: the container has no cgroup, by which its processes would be stopped: {}",
         what, s_.cgroup_remedy(""));
  return *cgroup_;
}

void ProcessGroup::freeze() const { require("pause").freeze(); }
void ProcessGroup::thaw() const { require("unpause").thaw(); }
bool ProcessGroup::frozen() const { return cgroup_ && cgroup_->frozen(); }

void ProcessGroup::update(const kernel::CgroupLimits& limits) const {
  if (cgroup_) cgroup_->update(limits);
}

void ProcessGroup::kill_all() const {
  if (cgroup_) {
    cgroup_->kill_all();
    return;
  }
  // The first of a pid namespace takes all with it; without such a namespace the others are its descendants.
  const auto all = first_.pid > 0 ? pids() : std::vector<pid_t>();
  for (const pid_t pid : all) ::kill(pid, SIGKILL);
}

}  // namespace bryo::engine

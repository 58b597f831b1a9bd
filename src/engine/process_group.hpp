// All processes of a running container, exec'd ones too: reached by its cgroup, or by /proc where the engine may make
// no cgroups (rootless without delegation). A value: take it with the container's mutex held, use it without.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/container.hpp"
#include "engine/services.hpp"

namespace bryo::engine {

class ProcessGroup {
 public:
  ProcessGroup(const Services& services, const Container& container);
  // Of a run whose processes are not known: only kill_all() finds anything, and only with a cgroup.
  ProcessGroup(const Services& services, const CgroupName& cgroup);

  std::vector<pid_t> pids() const;
  // Without a cgroup: sums over the processes that live, without limits.
  kernel::CgroupStats stats() const;
  // Error{unsupported} without a cgroup, with the remedy.
  void freeze() const;
  void thaw() const;
  bool frozen() const;
  // `docker update`; without a cgroup nothing, since no limit can have been accepted.
  void update(const kernel::CgroupLimits& limits) const;
  void kill_all() const;

 private:
  const kernel::ContainerCgroup& require(std::string_view what) const;

  const Services& s_;
  std::optional<kernel::ContainerCgroup> cgroup_;
  monitor::Started first_;
};

}  // namespace bryo::engine

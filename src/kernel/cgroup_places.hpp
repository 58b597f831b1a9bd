// Where the hierarchies are on nearly every host, looked at instead of read from the table of mounts: a line of that
// table costs the kernel microseconds, and hosts with many containers have many. Private to the cgroup sources of
// kernel/.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/cgroups.hpp"

namespace bryo::kernel {

// From the text of /proc/cgroups (cgroups(7)): the controllers of each v1 hierarchy in the kernel's order, which is the
// order of systemd's and Docker's directory names: {"cpuset"}, {"cpu", "cpuacct"}. Pure.
std::vector<std::vector<std::string>> v1_hierarchies(std::string_view proc_cgroups);

// The layout when every v1 hierarchy is mounted on /sys/fs/cgroup/<its controllers> and v2 on /sys/fs/cgroup or
// /sys/fs/cgroup/unified; nullopt when one of them is not there. Of the named hierarchies it knows systemd's.
std::optional<CgroupLayout> layout_of_usual_places();

}  // namespace bryo::kernel

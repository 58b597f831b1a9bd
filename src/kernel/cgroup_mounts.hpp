// The mounts of cgroup file systems, from the text of mountinfo (proc(5)). Private to the cgroup sources of kernel/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bryo::kernel {

struct CgroupMount {
  std::string root;   // the cgroup that the mount shows as its root; "/.." and so on: one outside of our namespace
  std::string point;  // where
  std::string type;   // "cgroup" or "cgroup2"
  std::string super_options;
};

std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo);
// A hierarchy may be mounted several times (inside root file systems of containers): the usual place wins, then the
// first.
bool is_better_mount(std::string_view candidate, const std::string& present);
// A small file of /proc, whole.
std::string read_proc_text(const char* path);

}  // namespace bryo::kernel

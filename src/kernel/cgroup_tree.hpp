// Which directories a container's cgroup has, how they are made, and how v2 controllers are turned on above them.
// Private to the cgroup sources of kernel/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/cgroups.hpp"

namespace bryo::kernel {

// Throws Error{invalid_argument} unless the path is absolute, without "", "." and ".." inside, of printable bytes.
void check_cgroup_path(const std::string& path);

// Mount points of the hierarchies that hold our containers: v2 one; v1 the controllers that we use, each mount once.
std::vector<std::string> used_hierarchies(const CgroupLayout& layout);
// Mount point for one controller ("memory"), "" when the host lacks it.
std::string hierarchy_of(const CgroupLayout& layout, std::string_view controller);
// The hierarchy by which processes are counted and killed; "" when there is none.
std::string counting_hierarchy(const CgroupLayout& layout);

// Makes the path, parents too, in every hierarchy that we use. v1: a new cpuset gets the cpus and mems of its parent
// (an empty one takes no process). v2: the controllers of ours are enabled in all parents.
void make_everywhere(const CgroupLayout& layout, const std::string& path);

class CgroupDirectory;
// v2: into the child kProcessLeaf. Processes that appear or end meanwhile are no error.
void move_processes_to_leaf(const CgroupDirectory& directory);
// v2: turns the controllers that we use on for the children of this cgroup, as far as it has them and may.
void enable_controllers(const std::string& path);

}  // namespace bryo::kernel

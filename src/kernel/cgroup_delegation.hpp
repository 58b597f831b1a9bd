// Where may a process make cgroups when it does not own the whole tree? A v2 cgroup that was given to its user
// (cgroup-v2.rst, "Delegation"): its directory and the files cgroup.procs and cgroup.subtree_control are theirs. What
// is here finds such places and takes them; for the calling process or any other, on any thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// A cgroup that gives controllers to its children has no processes of its own: those of a delegated one are here.
inline constexpr std::string_view kProcessLeaf = "bryo-leaf";

// The directory of a process's v2 cgroup, from the texts of its /proc/PID/cgroup and of our mountinfo. Empty when there
// is none, or when no mount shows it (it lies outside of our cgroup namespace).
std::string unified_directory(std::string_view cgroups, std::string_view mountinfo);
// The same for a process that runs; empty also when it is gone.
std::string unified_directory_of(pid_t pid);

// Names of cgroup.controllers, which are what its children may get; empty also when there is no such directory.
std::vector<std::string> cgroup_controllers(const std::string& directory);
// May the caller make cgroups there, give them its controllers and move processes about in it?
bool is_delegated_cgroup(const std::string& directory);
// A move asks for the rights on the lowest cgroup that both are in.
bool may_move_between(const std::string& from, const std::string& to);
// Moves every process of this cgroup into its child kProcessLeaf and enables the controllers that we use for children.
void take_cgroup(const std::string& directory);
// Error names the process and the cgroup.
void move_to_cgroup(pid_t pid, const std::string& directory);

// A process that does nothing: a cgroup that systemd keeps as long as it is populated stays with it. It ends with this
// object, and with the calling process.
class Placeholder {
 public:
  Placeholder();
  ~Placeholder();
  Placeholder(const Placeholder&) = delete;
  Placeholder& operator=(const Placeholder&) = delete;
  pid_t pid() const { return pid_; }

 private:
  UniqueFd lifeline_;  // a pipe's writing end
  pid_t pid_ = -1;
};

}  // namespace bryo::kernel

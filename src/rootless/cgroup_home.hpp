// Where a daemon without root makes the cgroups of its containers, and what to do when it may not. In this order:
//
// 1. Its own cgroup's parent, when its own is the leaf "bryo-leaf" of one that was delegated: a unit with Delegate=yes
//    and DelegateSubgroup=bryo-leaf (systemd 254), or an earlier daemon has taken the place. The unit can start again
//    while containers live.
// 2. A scope of its own that the user's systemd makes and gives away. It is no part of the unit, the session or the
//    terminal that started the daemon, so restarting the one or ending the other does not touch containers; it ends
//    with its last process. (podman and Docker do the same with a scope for each container; one for all costs a
//    conversation with systemd at the daemon's start and none at a container's.)
// 3. Its own cgroup, when that is delegated: User= and Delegate=yes in a system unit, a container.
// 4. None: cgroup version 1, or nothing of the above.
//
// In 1 and 3 the daemon's processes are in the leaf. In 2 the daemon stays where it is when the kernel lets it start
// processes in the scope from there (as a unit of the same systemd), else it moves into the scope's leaf.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/cgroup_delegation.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::rootless {

// What is said about a place; pure, so that it can be tested.
struct CgroupFacts {
  bool unified = false;               // the host has a v2 hierarchy with controllers
  std::vector<std::string> of_host;   // controllers of that hierarchy
  std::vector<std::string> of_place;  // those that our children may get
  std::string directory;              // the place; empty: none
  std::string own;                    // the cgroup of the daemon when it was started, as a directory
  std::string user = "you";           // for commands to be run
  std::string refusal;                // why there is no scope; empty: was not asked for
};
// Why there is no such controller for us and the command that changes it. `controller` may be empty: why is there no
// cgroup at all?
std::string cgroup_remedy(const CgroupFacts& facts, std::string_view controller);

class CgroupHome {
 public:
  // For a process with one thread. `exec_root` tells daemons of one user apart. Never throws: a place that cannot be
  // had is none, and remedy("") says why.
  explicit CgroupHome(const std::string& exec_root);

  // Its root is the place; version none when there is no place.
  const kernel::CgroupLayout& layout() const { return layout_; }
  // "1" or "2", of the host.
  std::string_view version() const { return facts_.unified ? "2" : "1"; }
  std::string remedy(std::string_view controller) const { return cgroup_remedy(facts_, controller); }
  // A new daemon cannot be started in its unit while containers live: their cgroups are below the unit's own, which may
  // then hold no process (systemd before 254 starts a service's process nowhere else).
  bool blocks_its_unit() const { return blocks_its_unit_; }
  // Before the layout is asked and before a container starts: makes the scope again when somebody has ended it.
  void keep();

 private:
  void find(const std::string& exec_root);
  void take(const std::string& directory);
  bool use_scope();
  void enter_scope();

  std::mutex mutex_;
  CgroupFacts facts_;
  std::string scope_;  // name of the unit; empty: place 1, 3 or 4
  std::unique_ptr<kernel::Placeholder> placeholder_;
  kernel::CgroupLayout layout_;
  bool blocks_its_unit_ = false;
};

}  // namespace bryo::rootless

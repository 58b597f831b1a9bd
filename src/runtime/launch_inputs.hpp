// What a child needs in memory before it is cloned: strings as execve wants them, descriptors in order.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/child.hpp"
#include "runtime/container.hpp"

namespace bryo::runtime {

// Owns what its ChildContext points to. Keep it alive until the child has been cloned.
class ChildInputs {
 public:
  ChildInputs(const ProcessPlan& process, const ChildStdio& stdio, const CgroupPlacement& cgroup,
              std::span<const int> preserved);
  ChildInputs(const ChildInputs&) = delete;
  ChildInputs& operator=(const ChildInputs&) = delete;

  child::ChildContext& context() { return context_; }
  // The child keeps this descriptor besides what the constructor was given.
  void keep(int fd) { keep_.push_back(fd); }
  void take_hooks(const LaunchHooks& hooks);
  // Call last: puts the kept descriptors in order.
  child::ChildContext& ready();
  // Raises hard limits of the child where the plan wants more than it has: no process of a user namespace may do that
  // itself.
  void raise_limits(pid_t pid) const;
  // What had to be lowered.
  std::vector<std::string>& warnings() { return warnings_; }

 private:
  void take_hooks(const std::vector<HookProgram>& hooks, std::vector<child::HookToRun>& out);
  void clamp_limits(const ProcessPlan& process);
  void find_candidates(const ProcessPlan& process);
  void take_stdio(const ProcessPlan& process, const ChildStdio& stdio);

  child::ChildContext context_;
  std::vector<char*> arguments_;
  std::vector<char*> environment_;
  std::vector<std::string> candidate_texts_;
  std::vector<const char*> candidates_;
  std::vector<ResourceLimit> limits_;
  std::vector<std::string> warnings_;
  std::vector<int> cgroup_procs_;
  std::vector<int> preserved_;
  std::vector<int> keep_;
  // One list of pointers for every hook's arguments and environment, ended by nullptr.
  std::vector<std::vector<char*>> hook_words_;
  std::vector<child::HookToRun> create_hooks_;
  std::vector<child::HookToRun> start_hooks_;
  UniqueFd null_device_;
};

// Whether our own user namespace lets somebody set groups: not one that was made without rights (user_namespaces(7)).
bool may_set_groups_here();

// A pipe belongs to whoever may open /dev/stdout again: the program's user, as the host counts. Other files stay.
void own_pipes(const ChildStdio& stdio, std::uint32_t host_uid);

// Writes /proc/<pid>/oom_score_adj; a refusal is a warning.
void set_oom_score(pid_t pid, const ProcessPlan& process, std::vector<std::string>& warnings);

// Line by line of /proc/PID/uid_map: the host id of `inside`, or `inside` itself without a map.
std::uint32_t host_id(const std::string& map, std::uint32_t inside);
bool maps_root(const MapTexts& maps);

}  // namespace bryo::runtime

// The bundle of a container with hooks (types.hpp), from the launch until all is over. As long as this object lives its
// config.json is locked: a bryod that finds the lock free has to do what is left (poststop) itself.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/unique_fd.hpp"
#include "monitor/hook_sequence.hpp"
#include "monitor/types.hpp"
#include "runtime/hook_program.hpp"

namespace bryo::monitor {

class BundleKeeper {
 public:
  BundleKeeper(Bundle bundle, int oom_score_adj);

  // Of the launch; nullptr when no hook comes before the program.
  const runtime::LaunchHooks* launch_hooks() { return create_ ? &create_->launch() : nullptr; }
  // The first process is there: from now on there is something to be undone.
  void begun();
  bool has_begun() const { return begun_; }
  // Everything is mounted: the host's hooks before the start. Error of the first that fails.
  void run_create_hooks(pid_t init);
  HookSequence::Hooks poststart(pid_t init) const;
  HookSequence::Hooks poststop() const;
  // Last: what was made beside the cgroups, and the bundle itself.
  void remove();

 private:
  void make_cover();

  const Bundle bundle_;
  const int oom_score_adj_;
  UniqueFd lock_;
  UniqueFd cover_;
  std::optional<runtime::CreateHooks> create_;
  bool begun_ = false;
};

}  // namespace bryo::monitor

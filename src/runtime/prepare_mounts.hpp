// Turns the plan's root file system and sources into detached mounts, with the launcher's rights, in the launcher's
// mount namespace. Nothing is attached anywhere: closing the descriptors undoes it all.
#pragma once

#include <span>
#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/launch_plan.hpp"

namespace bryo::runtime {

// [0] is the root file system, [1+n] is source n. `user_namespace` is the container's, or -1; `descriptors` is what the
// plan's `descriptor` members index. Throws Error naming the source.
std::vector<UniqueFd> prepare_mounts(const LaunchPlan& plan, std::span<const int> descriptors, int user_namespace);

}  // namespace bryo::runtime

// Device nodes for containers, made or taken by the launcher as detached mounts.
#pragma once

#include "base/unique_fd.hpp"
#include "runtime/launch_plan.hpp"

namespace bryo::runtime {

// A tmpfs that belongs to the launcher's user namespace, with everything in it.
UniqueFd make_device_tree(const DeviceTreeSource& tree);
// A clone of one node of the host, of the type and number that the plan says.
UniqueFd clone_device(const DeviceSource& device);

}  // namespace bryo::runtime

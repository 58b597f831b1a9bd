// Which ids exist in the user namespace of this process? All of them for the root of the machine; in a namespace only
// those that its maps have (/proc/self/uid_map, user_namespaces(7)): chown to others fails with EINVAL.
#pragma once

#include "ids/id_map.hpp"

namespace bryo::ids {

// What the ids of this namespace are in its parent. identity() in the first one.
IdMaps outside_of_own_namespace();
// The ids of this namespace, each as itself: the widest map that a container may have here without a change of ids.
IdMaps within_own_namespace();

}  // namespace bryo::ids

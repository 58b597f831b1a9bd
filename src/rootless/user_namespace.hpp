// An ordinary user becomes root in a user namespace: 0 is the user, 1… are the user's subordinate ids (subuid(5)).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.hpp"
#include "ids/accounts.hpp"
#include "ids/id_map.hpp"
#include "ids/subordinate.hpp"

namespace bryo::rootless {

// Who runs this process?
enum class Standing {
  host_root,       // root of the machine
  namespace_root,  // root in a user namespace that somebody else made: rootlesskit, a container, unshare
  user,            // an ordinary user
};
Standing standing();

// 0 is the user (and the user's group); from 1 on the ranges, in their order. Error{not_found} names the file, the line
// that is missing and the command that adds it; warns in the log about fewer than 65536 ids.
ids::IdMaps maps_of(const ids::User& user, const ids::SubordinateIds& subordinate);

struct Entry {
  bool keep_groups = false;
  std::string propagation = "rslave";  // of the mount namespace: rslave, rprivate, rshared
};

// The calling process (one thread) becomes root in new user and mount namespaces, with newuidmap and newgidmap.
// Error{permission} says what the host lacks and the command that mends it: uidmap not installed, subordinate ids,
// user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns.
void become_root(const ids::IdMaps& maps, const Entry& entry);

// Gives a process that stands in a new user namespace its maps, with newuidmap and newgidmap. Errors as above.
void give_maps(const ids::IdMaps& maps, pid_t pid);
// What become_root() would say about a kernel that refused to make namespaces; `error` itself when the host's settings
// do not explain it.
Error explain_refusal(const Error& error);

// In a user namespace: the uid outside that 0 stands for.
ids::HostId uid_outside();

}  // namespace bryo::rootless

// A process gives up what it does not need, step by step; nothing can be taken back. For single-threaded programs that
// handle hostile input. Each function throws when the kernel does not do it: there is no confinement by halves.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace bryo::kernel {

// Permitted and effective become `mask`; the inheritable and ambient sets become empty and the bounding set `mask`, as
// far as the caller may (CAP_SETPCAP). Read back (capabilities(7)).
void keep_capabilities(std::uint64_t mask);
// No supplementary groups from here on. Where the user namespace lets nobody set any, they stay (user_namespaces(7)).
void give_up_groups();
// Every descriptor from this number on.
void close_descriptors_from(unsigned first);
// PR_SET_NO_NEW_PRIVS.
void forbid_new_privileges();
// No core dump, no ptrace(2) and no /proc/PID/mem by processes of the same user.
void make_undumpable();
// Lowers the soft and the hard limit (RLIMIT_*); never raises the hard one.
void limit_resource(unsigned resource, std::uint64_t value);
// Raises the soft limit to the hard one, at most to `most`.
void raise_resource(unsigned resource, std::uint64_t most);
// SIGKILL when the parent ends; ends at once when it is not `parent` any more.
void die_with(pid_t parent);
// The detached mount becomes "/" in a mount namespace of our own, in which there is nothing else. Needs CAP_SYS_ADMIN.
void enter_root(int mount);

}  // namespace bryo::kernel

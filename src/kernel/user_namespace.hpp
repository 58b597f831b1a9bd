// The calling process moves into a user namespace (user_namespaces(7)) and keeps its pid. Only for processes with one
// thread (the kernel refuses others with EINVAL); nothing of this can be taken back.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace bryo::kernel {

// Makes a namespace, lets `write_maps` give it its maps from outside (/proc/<pid>/uid_map and gid_map) and enters it.
// Afterwards the process is uid and gid 0 there, has every capability, and no supplementary groups unless
// `keep_groups`. When `write_maps` throws, the process is where it was.
void enter_new_user_namespace(const std::function<void(pid_t pid)>& write_maps, bool keep_groups);
// A mount namespace of its own; every mount gets this propagation: MS_SLAVE, MS_PRIVATE or MS_SHARED (mount(2)).
void enter_new_mount_namespace(unsigned long propagation);
// The user and the mount namespace of a running process; the user namespace must be owned by the caller's uid. Then as
// above. Error{not_found} when the process is gone.
void join_user_and_mount_namespace(pid_t pid, bool keep_groups);

// True when the calling process is in the user namespace that the machine started with.
bool in_initial_user_namespace();
// Whether the namespace behind this path (/proc/self/ns/net) belongs to the calling process's user namespace
// (ioctl_ns(2)); false also for namespaces of a parent, which may not be asked.
bool owned_by_own_user_namespace(const std::string& path);

// Runs the calling process's own program anew with these arguments and the same environment.
[[noreturn]] void execute_self_again(const std::vector<std::string>& arguments);

}  // namespace bryo::kernel

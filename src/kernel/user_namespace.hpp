// The calling process moves into a user namespace (user_namespaces(7)) and keeps its pid. Only for processes with one
// thread (the kernel refuses others with EINVAL); nothing of this can be taken back.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace bryo::kernel {

<<<<<<< HEAD
// Makes a namespace, lets `write_maps` give it its maps from outside (/proc/<pid>/uid_map and gid_map) and enters it.
// Afterwards the process is uid and gid 0 there, has every capability, and no supplementary groups unless
// `keep_groups`. When `write_maps` throws, the process is where it was.
void enter_new_user_namespace(const std::function<void(pid_t pid)>& write_maps, bool keep_groups);
// A mount namespace of its own; every mount gets this propagation: MS_SLAVE, MS_PRIVATE or MS_SHARED (mount(2)).
=======
// Runs outside as soon as the namespace is there: a set-uid program that writes a map (newuidmap(1)), found in PATH.
struct MapWriter {
  std::string program;
  // After the pid: "0 1000 1 1 100000 65536", one word an element.
  std::vector<std::string> ranges;
};

// A new user namespace whose maps `writers` make; afterwards the process has all capabilities there, is uid 0 and gid
// 0, and has no supplementary groups, unless `keep_groups`. Error{permission} when the kernel or a writer refuses: with
// the writer's own words.
void enter_new_user_namespace(const std::vector<MapWriter>& writers, bool keep_groups);
// The same with the caller's own uid and gid as the only ones, which needs no program. setgroups(2) is off in it.
void enter_single_user_namespace();

// A mount namespace of its own; every mount gets this propagation, recursively: MS_SLAVE, MS_PRIVATE, MS_SHARED.
>>>>>>> usernet
void enter_new_mount_namespace(unsigned long propagation);
// The user and the mount namespace of a running process; the user namespace must be owned by the caller's uid. Then as
// above. Error{not_found} when the process is gone.
void join_user_and_mount_namespace(pid_t pid, bool keep_groups);

// True when the calling process is in the user namespace that the machine started with.
bool in_initial_user_namespace();
// Whether the namespace behind this path (/proc/self/ns/net) belongs to the calling process's user namespace
// (ioctl_ns(2)); false also for namespaces of a parent, which may not be asked.
bool owned_by_own_user_namespace(const std::string& path);

<<<<<<< HEAD
// Runs the calling process's own program anew with these arguments and the same environment.
=======
// Starts the program of the calling process anew with these arguments (after the program's name); the environment
// stays. Returns only by throwing.
>>>>>>> usernet
[[noreturn]] void execute_self_again(const std::vector<std::string>& arguments);

}  // namespace bryo::kernel

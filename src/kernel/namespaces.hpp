// Namespaces of Linux by descriptor: opening those of a process, checking that a descriptor is one. Errors name the
// path. Any thread. See namespaces(7), ioctl_ns(2).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// "net" → CLONE_NEWNET, and so on for the names in /proc/PID/ns; 0 when unknown.
int namespace_flag(std::string_view name);

// /proc/<pid>/ns/<name> of the host's /proc.
UniqueFd open_namespace(pid_t pid, const std::string& name);

// A path such as /run/netns/x or /proc/12/ns/net; Error{invalid_argument} unless it is a namespace of this kind.
UniqueFd open_namespace_path(const std::string& path, int flag);
// The same check on a descriptor from elsewhere.
void check_namespace(int fd, int flag, const std::string& name);

// True when both processes' descriptors stand for the same namespace.
bool same_namespace(int a, int b);

}  // namespace bryo::kernel

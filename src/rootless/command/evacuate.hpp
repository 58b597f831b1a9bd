// --evacuate-cgroup2: cgroup v2 gives no controllers to children of a cgroup that has processes in it (cgroups(7), "no
// internal processes"). So they move one level down.
#pragma once

#include <string>

namespace bryo::rootless::command {

// Moves every process of our own cgroup into the child cgroup `name`, and enables all controllers for the children of
// our own. Error when the host has no cgroup v2, or the cgroup is not ours (systemd: Delegate=yes).
void evacuate_cgroup(const std::string& name);

// The path in "0::/path" of /proc/PID/cgroup; empty when there is none. Pure.
std::string unified_path(const std::string& text);

}  // namespace bryo::rootless::command

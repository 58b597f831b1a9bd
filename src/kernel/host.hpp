// What machine is this? Facts for `docker info` and for files of containers. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace bryo::kernel {

std::string host_name();
std::string kernel_release();  // "6.18.4"
std::string architecture();    // "x86_64"
// PRETTY_NAME, VERSION_ID of /etc/os-release; empty when unknown.
std::string os_release(const std::string& key);
std::uint64_t total_memory();
unsigned processors();
// Nanoseconds of processor time of the whole host since boot, all processors together (/proc/stat).
std::uint64_t system_cpu_time();
// /proc/sys/<name> ("kernel/pid_max"), without the line's end; empty when this kernel has no such setting.
std::string read_sysctl(const std::string& name);
// The AppArmor profile that confines this process; empty where none does (apparmor(7): "unconfined", another mode, no
// AppArmor).
std::string confining_apparmor_profile();
// Is there an AppArmor profile of this name? Only root of the host learns it.
bool apparmor_knows(const std::string& profile);
// Does the SELinux policy in force know this context (security_check_context(3))? Yes, where nobody can be asked.
bool selinux_knows(const std::string& context);

}  // namespace bryo::kernel

#include "engine/apparmor.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/spec_parts.hpp"
#include "kernel/files.hpp"
#include "kernel/host.hpp"
#include "kernel/program.hpp"

namespace bryo::engine {
namespace {

constexpr const char* kDockersProfile = "docker-default";
constexpr const char* kNote = "apparmor-profile";
constexpr std::size_t kMaxOutput = 1U << 16;

// What the note says; empty without one.
std::string noted(const std::string& directory) {
  try {
    return kernel::read_file(kernel::open_trusted(directory + "/" + kNote, O_RDONLY).get(), kMaxOutput);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

// Signals and tracing are received from anybody: who sends them is judged by his own profile and by the kernel's other
// rules. Peers are also named as a stack with "unconfined", which is what a container's first process becomes where
// kernel.apparmor_restrict_unprivileged_unconfined is on and its root is not the host's.
std::string default_apparmor_profile() {
  return fmt::format(R"(# Containers that ask for no other profile. Written and loaded by bryod.
profile {0} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  network,
  # Of no use in containers, and a long list of holes. The seccomp profile cannot see them in socketcall() of i386.
  deny network alg,
  deny network vsock,
  unix,
  dbus,
  umount,
  signal (receive),
  signal (send) peer={0}{{,//&unconfined}},
  ptrace (readby, tracedby),
  ptrace (read, trace) peer={0}{{,//&unconfined}},

  # Mounts can be arranged so that the paths below mean something else.
  deny mount,

  # Below /proc: its processes, settings that the kernel keeps for each network, IPC and UTS namespace, and nothing else.
  deny /proc/* w,
  deny /proc/{{[^1-9s],s[^ey]}}*/** w,
  deny /proc/sys/[^kn]** w,
  deny /proc/sys/kernel/{{[^dhms],d[^o],h[^o],ho[^s],m[^s],s[^eh]}}** w,
  deny /proc/sys/kernel/seccomp/** w,
  deny /proc/{{kcore,sysrq-trigger}} rwklx,

  # Below /sys: cgroups.
  deny /sys/{{[^f],f[^s],fs/[^c],fs/c[^g]}}*/** wklx,
  deny /sys/{{firmware,kernel/security,devices/virtual/powercap}}/** rwklx,
}}
)",
                     kDefaultAppArmorProfile);
}

AppArmor::AppArmor(bool possible, std::string directory) : directory_(std::move(directory)) {
  if (!possible) return;
  try {
    if (!kernel::apparmor_knows(kDefaultAppArmorProfile) || noted(directory_) != default_apparmor_profile()) load();
    active_ = true;
  } catch (const Error& error) {
    log::warning("Containers get no AppArmor profile unless they ask for one: {}", error.message());
  }
}

void AppArmor::ensure_loaded() {
  std::lock_guard lock(mutex_);
  if (!active_ || kernel::apparmor_knows(kDefaultAppArmorProfile)) return;
  log::warning("Somebody has removed the AppArmor profile {}: it is loaded again", kDefaultAppArmorProfile);
  load();
}

std::string AppArmor::profile_of(const HostConfig& host) const {
  const std::string asked = parse_security_options(host, false).apparmor;
  if (asked == kDockersProfile && active_ && !kernel::apparmor_knows(kDockersProfile)) return kDefaultAppArmorProfile;
  if (!asked.empty() || !active_) return asked;
  return host.privileged || is_nested(host) ? kUnconfined : kDefaultAppArmorProfile;
}

// The note is there only while what it says is loaded.
void AppArmor::load() const {
  const UniqueFd directory = kernel::open_at(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY);
  kernel::write_file_durably(directory.get(), kNote, default_apparmor_profile());
  const std::string path = directory_ + "/" + kNote;
  try {
    kernel::run_program({"apparmor_parser", "--replace", "--skip-cache", path}, kMaxOutput);
  } catch (const Error& error) {
    kernel::unlink_at(directory.get(), kNote);
    throw error.within("load the profile " + std::string(kDefaultAppArmorProfile));
  }
}

}  // namespace bryo::engine

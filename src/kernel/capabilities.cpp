#include "kernel/capabilities.hpp"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

// In the order of their numbers.
constexpr std::array<std::string_view, kKnownCapabilities> kNames = {"chown",
                                                                     "dac_override",
                                                                     "dac_read_search",
                                                                     "fowner",
                                                                     "fsetid",
                                                                     "kill",
                                                                     "setgid",
                                                                     "setuid",
                                                                     "setpcap",
                                                                     "linux_immutable",
                                                                     "net_bind_service",
                                                                     "net_broadcast",
                                                                     "net_admin",
                                                                     "net_raw",
                                                                     "ipc_lock",
                                                                     "ipc_owner",
                                                                     "sys_module",
                                                                     "sys_rawio",
                                                                     "sys_chroot",
                                                                     "sys_ptrace",
                                                                     "sys_pacct",
                                                                     "sys_admin",
                                                                     "sys_boot",
                                                                     "sys_nice",
                                                                     "sys_resource",
                                                                     "sys_time",
                                                                     "sys_tty_config",
                                                                     "mknod",
                                                                     "lease",
                                                                     "audit_write",
                                                                     "audit_control",
                                                                     "setfcap",
                                                                     "mac_override",
                                                                     "mac_admin",
                                                                     "syslog",
                                                                     "wake_alarm",
                                                                     "block_suspend",
                                                                     "audit_read",
                                                                     "perfmon",
                                                                     "bpf",
                                                                     "checkpoint_restore"};

}  // namespace

std::optional<unsigned> capability_number(std::string_view name) {
  const std::string lower = to_lower(name);
  std::string_view bare = lower;
  if (bare.starts_with("cap_")) bare.remove_prefix(4);
  for (unsigned i = 0; i < kNames.size(); ++i)
    if (kNames[i] == bare) return i;
  return std::nullopt;
}

std::string capability_name(unsigned number) {
  if (number >= kNames.size()) return fmt::format("CAP_{}", number);
  std::string name = "CAP_";
  for (const char c : kNames[number]) name += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

namespace {

struct Sets {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
};

Sets own_capabilities() {
  Sets sets;
  if (const long result = raw::call(SYS_capget, &sets.header, sets.data); result < 0)
    throw Error::from_errno(static_cast<int>(-result), "capget");
  return sets;
}

}  // namespace

void make_files_as(uid_t uid, gid_t gid) {
  Sets before = own_capabilities();
  // They return the id before, never an error: a second call, which changes nothing, says what is so.
  ::setfsgid(gid);
  if (static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))) != gid) fail(ErrorKind::permission, "setfsgid {}", gid);
  ::setfsuid(uid);
  if (static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))) != uid) fail(ErrorKind::permission, "setfsuid {}", uid);
  // Leaving 0 takes CAP_CHOWN, CAP_DAC_OVERRIDE and their like away (capabilities(7)).
  if (const long result = raw::call(SYS_capset, &before.header, before.data); result < 0)
    throw Error::from_errno(static_cast<int>(-result), "capset");
}

std::uint64_t effective_capabilities() {
  const Sets sets = own_capabilities();
  return sets.data[0].effective | static_cast<std::uint64_t>(sets.data[1].effective) << 32;
}

unsigned last_capability() {
  // Most kernels know what we know, or a few more or less.
  unsigned last = kKnownCapabilities - 1;
  while (last > 0 && raw::prctl(PR_CAPBSET_READ, last) < 0) --last;
  while (last < 63 && raw::prctl(PR_CAPBSET_READ, last + 1) >= 0) ++last;
  return last;
}

}  // namespace bryo::kernel

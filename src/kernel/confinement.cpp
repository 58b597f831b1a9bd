#include "kernel/confinement.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

struct Capabilities {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct words[2] = {};
};

}  // namespace

void keep_capabilities(std::uint64_t mask) {
  for (unsigned number = 0; number <= last_capability(); ++number) {
    if ((mask & capability_bit(number)) != 0) continue;
    const int result = raw::prctl(PR_CAPBSET_DROP, number);
    if (result < 0 && result != -EPERM) throw Error::from_errno(-result, "drop a capability from the bounding set");
  }
  if (const int result = raw::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL); result < 0)
    throw Error::from_errno(-result, "clear the ambient capabilities");
  Capabilities wanted;
  for (int i : {0, 1}) {
    wanted.words[i].permitted = static_cast<std::uint32_t>(mask >> (32 * i));
    wanted.words[i].effective = wanted.words[i].permitted;
  }
  if (const long result = raw::call(SYS_capset, &wanted.header, wanted.words); result < 0)
    throw Error::from_errno(static_cast<int>(-result), "capset");
  Capabilities now;
  if (const long result = raw::call(SYS_capget, &now.header, now.words); result < 0)
    throw Error::from_errno(static_cast<int>(-result), "capget");
  for (int i : {0, 1})
    if (now.words[i].permitted != wanted.words[i].permitted || now.words[i].inheritable != 0)
      fail(ErrorKind::internal, "capabilities are left after they were dropped");
}

void give_up_groups() {
  if (::setgroups(0, nullptr) == 0) return;
  const int error = errno;
  const UniqueFd rule = open_at(AT_FDCWD, "/proc/self/setgroups", O_RDONLY);
  if (error != EPERM || trim(read_file(rule.get(), 16)) != "deny")
    throw Error::from_errno(error, "give up the supplementary groups (setgroups)");
}

void close_descriptors_from(unsigned first) {
  if (const int result = raw::close_range(first, ~0U, 0); result < 0) throw Error::from_errno(-result, "close_range");
}

void forbid_new_privileges() {
  if (const int result = raw::prctl(PR_SET_NO_NEW_PRIVS, 1); result < 0)
    throw Error::from_errno(-result, "set no_new_privs");
}

void make_undumpable() {
  if (const int result = raw::prctl(PR_SET_DUMPABLE, 0); result < 0)
    throw Error::from_errno(-result, "make the process undumpable");
}

void limit_resource(unsigned resource, std::uint64_t value) {
  struct rlimit64 now = {};
  if (const long result = raw::call(SYS_prlimit64, 0, resource, nullptr, &now); result < 0)
    throw Error::from_errno(static_cast<int>(-result), "read a resource limit");
  const std::uint64_t lower = std::min<std::uint64_t>(value, now.rlim_max);
  if (const int result = raw::set_limit(0, resource, {lower, lower}); result < 0)
    throw Error::from_errno(-result, "lower a resource limit");
}

void raise_resource(unsigned resource, std::uint64_t most) {
  struct rlimit64 now = {};
  if (const long result = raw::call(SYS_prlimit64, 0, resource, nullptr, &now); result < 0)
    throw Error::from_errno(static_cast<int>(-result), "read a resource limit");
  now.rlim_cur = std::max<std::uint64_t>(now.rlim_cur, std::min<std::uint64_t>(most, now.rlim_max));
  if (const int result = raw::set_limit(0, resource, now); result < 0)
    throw Error::from_errno(-result, "raise a resource limit");
}

void die_with(pid_t parent) {
  if (const int result = raw::prctl(PR_SET_PDEATHSIG, SIGKILL); result < 0)
    throw Error::from_errno(-result, "ask for a signal at the parent's end");
  if (::getppid() != parent) ::_exit(0);
}

void enter_root(int mount) {
  if (const int result = raw::unshare(CLONE_NEWNS); result < 0)
    throw Error::from_errno(-result, "unshare the mount namespace");
  struct mount_attr private_tree = {};
  private_tree.propagation = MS_PRIVATE;
  const auto check = [](long result, const char* what) {
    if (result < 0) throw Error::from_errno(static_cast<int>(-result), what);
  };
  check(raw::call(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private_tree, sizeof private_tree),
        "make the mounts private");
  // Anything that exists will do: a moment later it is gone.
  check(raw::move_mount(mount, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH), "attach the new root");
  check(::chdir("/proc") == 0 ? 0 : -errno, "enter the new root");
  // pivot_root(2): the old root ends up on top of the new one, and goes from there.
  check(raw::pivot_root(".", "."), "pivot_root");
  check(raw::unmount(".", MNT_DETACH), "let go of the old root");
  check(::chdir("/") == 0 ? 0 : -errno, "enter the new root");
}

}  // namespace bryo::kernel

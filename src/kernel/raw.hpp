// System calls that neither throw nor touch anything but their arguments: for code between clone() and execve(), and as
// the ground that the throwing functions of this folder stand on. Each returns what the kernel returned, or -errno.
//
// Through syscall(2) and not through the C library's wrappers, where those take locks, cache (getpid), synchronise
// threads (setuid) or do not exist.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

namespace bryo::kernel::raw {

template <typename... Args>
inline long call(long number, Args... args) noexcept {
  const long result = ::syscall(number, args...);
  return result == -1 ? -static_cast<long>(errno) : result;
}

inline int open_below(int directory, const char* path, std::uint64_t flags, std::uint64_t resolve,
                      std::uint64_t mode = 0) noexcept {
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  // EAGAIN: a rename or mount happened somewhere during the look-up of ".."; bounded, then it fails closed.
  for (int attempt = 0;; ++attempt) {
    const long result = call(SYS_openat2, directory, path, &how, sizeof how);
    if (result != -EAGAIN || attempt >= 64) return static_cast<int>(result);
  }
}

inline int open_tree(int directory, const char* path, unsigned flags) noexcept {
  return static_cast<int>(call(SYS_open_tree, directory, path, flags | O_CLOEXEC));
}
inline int move_mount(int from, const char* from_path, int to, const char* to_path, unsigned flags) noexcept {
  return static_cast<int>(call(SYS_move_mount, from, from_path, to, to_path, flags));
}
// Attaches the mount behind `mount` on the file or directory behind `target`.
inline int attach(int mount, int target) noexcept {
  return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}
inline int mount_setattr(int mount, unsigned flags, const struct mount_attr& attributes) noexcept {
  return static_cast<int>(call(SYS_mount_setattr, mount, "", flags | AT_EMPTY_PATH, &attributes, sizeof attributes));
}
inline int fsopen(const char* type) noexcept { return static_cast<int>(call(SYS_fsopen, type, FSOPEN_CLOEXEC)); }
inline int fsconfig(int context, unsigned command, const char* key, const void* value, int aux) noexcept {
  return static_cast<int>(call(SYS_fsconfig, context, command, key, value, aux));
}
inline int fsmount(int context, unsigned attributes) noexcept {
  return static_cast<int>(call(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
}
inline int pivot_root(const char* new_root, const char* put_old) noexcept {
  return static_cast<int>(call(SYS_pivot_root, new_root, put_old));
}
inline int unmount(const char* path, int flags) noexcept { return static_cast<int>(call(SYS_umount2, path, flags)); }

inline int close(int fd) noexcept { return static_cast<int>(call(SYS_close, fd)); }
inline int close_range(unsigned first, unsigned last, unsigned flags) noexcept {
  return static_cast<int>(call(SYS_close_range, first, last, flags));
}
inline int fstat(int fd, struct stat& out) noexcept { return ::fstat(fd, &out) == 0 ? 0 : -errno; }
inline int fstatfs(int fd, struct statfs& out) noexcept { return ::fstatfs(fd, &out) == 0 ? 0 : -errno; }
inline int duplicate(int fd, int lowest) noexcept {
  return static_cast<int>(call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest));
}

inline int clone3(struct clone_args& arguments) noexcept {
  return static_cast<int>(call(SYS_clone3, &arguments, sizeof arguments));
}
inline int setns(int fd, int kind) noexcept { return static_cast<int>(call(SYS_setns, fd, kind)); }
inline int unshare(int flags) noexcept { return static_cast<int>(call(SYS_unshare, flags)); }
inline int pidfd_open(pid_t pid) noexcept { return static_cast<int>(call(SYS_pidfd_open, pid, 0U)); }
inline int pidfd_getfd(int pidfd, int number) noexcept {
  return static_cast<int>(call(SYS_pidfd_getfd, pidfd, number, 0U));
}
inline int pidfd_send_signal(int pidfd, int signal) noexcept {
  return static_cast<int>(call(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0U));
}
// Of the calling process, as its own pid namespace counts; never cached.
inline pid_t own_pid() noexcept { return static_cast<pid_t>(call(SYS_getpid)); }

inline int setresuid(uid_t id) noexcept { return static_cast<int>(call(SYS_setresuid, id, id, id)); }
inline int setresgid(gid_t id) noexcept { return static_cast<int>(call(SYS_setresgid, id, id, id)); }
inline int setgroups(std::size_t count, const gid_t* groups) noexcept {
  return static_cast<int>(call(SYS_setgroups, count, groups));
}
inline int prctl(int option, unsigned long a = 0, unsigned long b = 0, unsigned long c = 0,
                 unsigned long d = 0) noexcept {
  return static_cast<int>(call(SYS_prctl, option, a, b, c, d));
}
inline int set_limit(pid_t pid, unsigned resource, const struct rlimit64& limit) noexcept {
  return static_cast<int>(call(SYS_prlimit64, pid, resource, &limit, nullptr));
}

}  // namespace bryo::kernel::raw

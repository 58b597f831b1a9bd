#include "kernel/files.hpp"

#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

constexpr long kFchmodat2 = 452;  // Linux 6.6; the headers of the build may be older

// "/proc/self/fd/N", after a look that /proc is procfs and nothing else.
class ProcPath {
 public:
  explicit ProcPath(int fd) {
    static const bool is_proc = [] {
      struct statfs info {};
      return ::statfs("/proc/self/fd", &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
    }();
    if (!is_proc) fail(ErrorKind::unsupported, "use /proc/self/fd: /proc is not mounted");
    std::snprintf(text_, sizeof text_, "/proc/self/fd/%d", fd);
  }
  const char* get() const { return text_; }

 private:
  char text_[40];
};

}  // namespace

UniqueFd open_at(int directory, const std::string& name, int flags, mode_t mode) {
  UniqueFd fd(::openat(directory, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) fail_errno("open {}", printable(name));
  return fd;
}

UniqueFd open_trusted(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) fail_errno("open {}", printable(path));
  return fd;
}

UniqueFd reopen(int fd, int flags) {
  if (S_ISLNK(stat_fd(fd).st_mode)) fail(ErrorKind::invalid_argument, "reopen: is a link");
  UniqueFd again(::open(ProcPath(fd).get(), flags | O_CLOEXEC));
  if (!again) fail_errno("reopen descriptor");
  return again;
}

struct stat stat_fd(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail_errno("fstat");
  return info;
}

struct stat stat_at(int directory, const std::string& name) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
    fail_errno("stat {}", printable(name));
  return info;
}

std::optional<struct stat> try_stat_at(int directory, const std::string& name) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0) return info;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  fail_errno("stat {}", printable(name));
}

std::uint64_t mount_id(int fd) {
  struct statx info {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &info) != 0) fail_errno("statx");
  // Without mount ids the device tells at least other file systems apart.
  if ((info.stx_mask & STATX_MNT_ID) == 0) return gnu_dev_makedev(info.stx_dev_major, info.stx_dev_minor);
  return info.stx_mnt_id;
}

void make_directory(int directory, const std::string& name, mode_t mode) {
  if (::mkdirat(directory, name.c_str(), mode) != 0) fail_errno("mkdir {}", printable(name));
}

bool try_make_directory(int directory, const std::string& name, mode_t mode) {
  if (::mkdirat(directory, name.c_str(), mode) == 0) return true;
  if (errno == EEXIST) return false;
  fail_errno("mkdir {}", printable(name));
}

void make_node(int directory, const std::string& name, mode_t mode, dev_t device) {
  if (::mknodat(directory, name.c_str(), mode, device) != 0) fail_errno("mknod {}", printable(name));
}

void make_symlink(const std::string& target, int directory, const std::string& name) {
  if (::symlinkat(target.c_str(), directory, name.c_str()) != 0) fail_errno("symlink {}", printable(name));
}

std::string read_link(int directory, const std::string& name) {
  char text[PATH_MAX];
  const ssize_t length = ::readlinkat(directory, name.c_str(), text, sizeof text);
  if (length < 0) fail_errno("readlink {}", printable(name));
  return {text, static_cast<std::size_t>(length)};
}

void link_fd(int fd, int directory, const std::string& name) {
  if (::linkat(fd, "", directory, name.c_str(), AT_EMPTY_PATH) == 0) return;
  // AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH; the way through procfs does not.
  if (errno == ENOENT && ::linkat(AT_FDCWD, ProcPath(fd).get(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0)
    return;
  fail_errno("link {}", printable(name));
}

void link_at(int from_directory, const std::string& from, int directory, const std::string& name) {
  if (::linkat(from_directory, from.c_str(), directory, name.c_str(), 0) != 0)
    fail_errno("link {} to {}", printable(name), printable(from));
}

void rename_at(int from_directory, const std::string& from, int directory, const std::string& name, unsigned flags) {
  if (::renameat2(from_directory, from.c_str(), directory, name.c_str(), flags) != 0)
    fail_errno("rename {} to {}", printable(from), printable(name));
}

void unlink_at(int directory, const std::string& name, int flags) {
  if (::unlinkat(directory, name.c_str(), flags) != 0) fail_errno("unlink {}", printable(name));
}

void change_owner(int fd, uid_t uid, gid_t gid) {
  if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) fail_errno("chown to {}:{}", uid, gid);
}

void change_owner_at(int directory, const std::string& name, uid_t uid, gid_t gid) {
  if (::fchownat(directory, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
    fail_errno("chown {} to {}:{}", printable(name), uid, gid);
}

void change_mode(int fd, mode_t mode) {
  if (::fchmod(fd, mode) == 0) return;
  if (errno != EBADF) fail_errno("chmod to {:o}", mode);
  // An O_PATH descriptor. fchmodat(AT_SYMLINK_NOFOLLOW) is not honoured everywhere (CVE-2026-32282).
  if (S_ISLNK(stat_fd(fd).st_mode)) fail(ErrorKind::unsupported, "chmod: a link has no mode");
  if (::syscall(kFchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0) return;
  if (::chmod(ProcPath(fd).get(), mode) != 0) fail_errno("chmod to {:o}", mode);
}

void set_times(int fd, const struct timespec& access, const struct timespec& modification) {
  const struct timespec times[2] = {access, modification};
  if (::utimensat(fd, "", times, AT_EMPTY_PATH) == 0) return;
  // Before Linux 5.8 the empty path was refused; futimens refuses O_PATH.
  if (errno != EINVAL && errno != ENOENT) fail_errno("utimensat");
  if (::futimens(fd, times) != 0 && ::utimensat(AT_FDCWD, ProcPath(fd).get(), times, 0) != 0) fail_errno("utimensat");
}

void set_times_at(int directory, const std::string& name, const struct timespec& access,
                  const struct timespec& modification) {
  const struct timespec times[2] = {access, modification};
  if (::utimensat(directory, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    fail_errno("utimensat {}", printable(name));
}

}  // namespace bryo::kernel

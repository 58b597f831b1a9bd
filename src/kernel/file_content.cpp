// files.hpp: what is in files and directories, extended attributes, durability, locks.
#include <dirent.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::kernel {
namespace {

// XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux.
constexpr std::size_t kMaxXattr = 65536;

// The attribute calls refuse O_PATH descriptors; a magic link of procfs leads to what the descriptor stands for and no
// further, also when that is a link.
std::string proc_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

bool no_attributes(int number) { return number == ENODATA || number == EOPNOTSUPP || number == ENOENT; }

struct LinuxDirent {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  unsigned char type;
  char name[1];
};

void append_entries(const char* buffer, long size, std::vector<DirectoryEntry>& entries) {
  for (long at = 0; at < size;) {
    LinuxDirent head{};
    std::memcpy(&head, buffer + at, offsetof(LinuxDirent, name));
    const char* name = buffer + at + offsetof(LinuxDirent, name);
    if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) entries.push_back({name, head.type});
    at += head.length;
  }
}

}  // namespace

std::vector<std::string> list_xattrs(int fd) {
  const std::string path = proc_path(fd);
  char buffer[kMaxXattr];
  const ssize_t size = ::listxattr(path.c_str(), buffer, sizeof buffer);
  std::vector<std::string> names;
  if (size < 0 && no_attributes(errno)) return names;
  if (size < 0) fail_errno("listxattr");
  for (const char* at = buffer; at < buffer + size; at += std::strlen(at) + 1) names.emplace_back(at);
  return names;
}

std::optional<std::string> get_xattr(int fd, const std::string& name) {
  std::string value(256, '\0');
  const std::string path = proc_path(fd);
  ssize_t size = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
  if (size < 0 && errno == ERANGE) {
    value.resize(kMaxXattr);
    size = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
  }
  if (size < 0 && no_attributes(errno)) return std::nullopt;
  if (size < 0) fail_errno("getxattr {}", printable(name));
  value.resize(static_cast<std::size_t>(size));
  return value;
}

bool try_set_xattr(int fd, const std::string& name, std::string_view value) {
  if (::setxattr(proc_path(fd).c_str(), name.c_str(), value.data(), value.size(), 0) == 0) return true;
  if (errno == EOPNOTSUPP || errno == EPERM || errno == EINVAL || errno == ERANGE) return false;
  fail_errno("setxattr {}", printable(name));
}

void set_xattr(int fd, const std::string& name, std::string_view value) {
  if (::setxattr(proc_path(fd).c_str(), name.c_str(), value.data(), value.size(), 0) != 0)
    fail_errno("setxattr {}", printable(name));
}

std::vector<DirectoryEntry> read_directory(int fd) {
  std::vector<DirectoryEntry> entries;
  UniqueFd own;
  if ((::fcntl(fd, F_GETFL) & O_PATH) != 0) {
    own = UniqueFd(::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) fail_errno("open directory");
    fd = own.get();
  } else if (::lseek(fd, 0, SEEK_SET) < 0) {
    fail_errno("rewind directory");
  }
  alignas(std::uint64_t) char buffer[32768];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (size < 0) fail_errno("read directory");
    if (size == 0) return entries;
    append_entries(buffer, size, entries);
  }
}

void write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_errno("write");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

std::string read_file(int fd, std::size_t limit) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read");
    if (got == 0) return text;
    if (static_cast<std::size_t>(got) > limit - text.size())
      fail(ErrorKind::exhausted, "read: file is larger than {} bytes", limit);
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

void write_file_durably(int directory, const std::string& name, std::string_view text, mode_t mode) {
  std::uint64_t salt = 0;
  if (::getrandom(&salt, sizeof salt, 0) != sizeof salt) fail_errno("getrandom");
  const std::string temporary = fmt::format(".{}.{:016x}", name, salt);
  const UniqueFd file = open_at(directory, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
  try {
    write_all(file.get(), std::as_bytes(std::span(text)));
    change_mode(file.get(), mode);
    sync_file(file.get());
    rename_at(directory, temporary, directory, name);
  } catch (...) {
    ::unlinkat(directory, temporary.c_str(), 0);
    throw;
  }
  const UniqueFd parent = open_at(directory, ".", O_RDONLY | O_DIRECTORY);
  sync_file(parent.get());
}

void sync_file(int fd) {
  if (::fsync(fd) != 0) fail_errno("fsync");
}

void sync_filesystem(int fd) {
  if (::syncfs(fd) != 0) fail_errno("syncfs");
}

bool try_lock(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  fail_errno("lock");
}

FilesystemSpace filesystem_space(int fd) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0) fail_errno("fstatfs");
  const auto block = static_cast<std::uint64_t>(info.f_bsize);
  // f_files is 0 where inodes are made as needed (btrfs).
  const std::uint64_t inodes = info.f_files == 0 ? UINT64_MAX : info.f_ffree;
  return {info.f_bavail * block, info.f_blocks * block, inodes, static_cast<long>(info.f_type)};
}

std::string filesystem_name(long magic) {
  static const std::map<long, const char*> names = {
      {EXT4_SUPER_MAGIC, "extfs"},
      {0x58465342, "xfs"},
      {BTRFS_SUPER_MAGIC, "btrfs"},
      {TMPFS_MAGIC, "tmpfs"},
      {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
      {0x2FC12FC1, "zfs"},
      {F2FS_SUPER_MAGIC, "f2fs"},
      {NFS_SUPER_MAGIC, "nfs"},
      {0x65735546, "fuse"},
      {SQUASHFS_MAGIC, "squashfs"},
      {RAMFS_MAGIC, "ramfs"},
      {ECRYPTFS_SUPER_MAGIC, "ecryptfs"},
  };
  const auto found = names.find(magic);
  return found == names.end() ? "<unknown>" : found->second;
}

}  // namespace bryo::kernel

// One thin typed function per file system call of Linux, on descriptors. Each throws Error with the call's name, its
// subject and errno ("fchownat etc/passwd: Operation not permitted"); none follows a link in the last component.
// `directory` may be AT_FDCWD only with paths of the engine's own. Any thread.
#pragma once

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// O_CLOEXEC and O_NOFOLLOW are always added.
UniqueFd open_at(int directory, const std::string& name, int flags, mode_t mode = 0);
// Follows links; for paths of the engine's own configuration.
UniqueFd open_trusted(const std::string& path, int flags, mode_t mode = 0);
// Another descriptor of the same file with other flags, through /proc/self/fd of a verified procfs.
UniqueFd reopen(int fd, int flags);

struct stat stat_fd(int fd);
struct stat stat_at(int directory, const std::string& name);
std::optional<struct stat> try_stat_at(int directory, const std::string& name);
// Mount id of an open file (statx, Linux 5.8); 0 when the kernel does not tell.
std::uint64_t mount_id(int fd);

void make_directory(int directory, const std::string& name, mode_t mode);
// false when something of that name is there already.
bool try_make_directory(int directory, const std::string& name, mode_t mode);
void make_node(int directory, const std::string& name, mode_t mode, dev_t device);
void make_symlink(const std::string& target, int directory, const std::string& name);
// The link's own text.
std::string read_link(int directory, const std::string& name);
// A second name for an open file or link (AT_EMPTY_PATH, or /proc/self/fd where that needs a capability we lack).
void link_fd(int fd, int directory, const std::string& name);
void link_at(int from_directory, const std::string& from, int directory, const std::string& name);
// flags: RENAME_NOREPLACE, RENAME_EXCHANGE.
void rename_at(int from_directory, const std::string& from, int directory, const std::string& name, unsigned flags = 0);
void unlink_at(int directory, const std::string& name, int flags = 0);

// By descriptor (O_PATH is enough), never by a second look-up. change_mode on a link is refused (CVE-2026-32282).
void change_owner(int fd, uid_t uid, gid_t gid);
void change_owner_at(int directory, const std::string& name, uid_t uid, gid_t gid);
void change_mode(int fd, mode_t mode);
void set_times(int fd, const struct timespec& access, const struct timespec& modification);
void set_times_at(int directory, const std::string& name, const struct timespec& access,
                  const struct timespec& modification);

// Extended attributes of what fd stands for (also O_PATH, also links).
std::vector<std::string> list_xattrs(int fd);
std::optional<std::string> get_xattr(int fd, const std::string& name);
void set_xattr(int fd, const std::string& name, std::string_view value);
// false when the file system has no such attributes or the kernel refuses the name.
bool try_set_xattr(int fd, const std::string& name, std::string_view value);

// Names in a directory, without "." and "..", in the kernel's order; type is DT_*.
struct DirectoryEntry {
  std::string name;
  unsigned char type = 0;
};
std::vector<DirectoryEntry> read_directory(int fd);

void write_all(int fd, std::span<const std::byte> bytes);
std::string read_file(int fd, std::size_t limit);
// Writes `text` so that after a power cut the file holds the old or the new text: temporary name, fsync, rename, fsync
// of the directory.
void write_file_durably(int directory, const std::string& name, std::string_view text, mode_t mode = 0600);
void sync_file(int fd);
void sync_filesystem(int fd);

// Advisory lock of the open file description: gone with the last descriptor, also after kill -9. false when another
// process holds it.
bool try_lock(int fd);

struct FilesystemSpace {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t free_inodes = 0;
  long magic = 0;
};
FilesystemSpace filesystem_space(int fd);
// "extfs", "xfs", "btrfs", "tmpfs", "overlayfs" …: Docker's names for `docker info`.
std::string filesystem_name(long magic);

}  // namespace bryo::kernel

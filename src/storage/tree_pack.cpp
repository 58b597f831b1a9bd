#include "storage/tree_pack.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/copy_attributes.hpp"
#include "storage/file_capability.hpp"

namespace bryo::storage {
namespace {

// One descriptor is open for each level.
constexpr int kMaxDepth = 512;
constexpr std::size_t kBuffer = 256U << 10;

TarType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return TarType::directory;
    case S_IFLNK:
      return TarType::symlink;
    case S_IFCHR:
      return TarType::character_device;
    case S_IFBLK:
      return TarType::block_device;
    case S_IFIFO:
      return TarType::fifo;
    default:
      return TarType::file;
  }
}

// File systems that show the kernel's state: nobody means to copy that.
bool is_pseudo(int directory) {
  static const std::set<long> magics = {PROC_SUPER_MAGIC,   SYSFS_MAGIC,   CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                                        DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,      SECURITYFS_MAGIC,
                                        BPF_FS_MAGIC,       0x19800202,    0x65735543,         PSTOREFS_MAGIC,
                                        EFIVARFS_MAGIC,     BINFMTFS_MAGIC};
  return magics.contains(kernel::filesystem_space(directory).magic);
}

// nullopt-like empty descriptor when the name has vanished.
UniqueFd open_name(int directory, const std::string& name) {
  UniqueFd fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno != ENOENT) fail_errno("open {}", printable(name));
  return fd;
}

}  // namespace

TarEntry TreePacker::entry_of(const struct stat& info, const std::string& name) const {
  TarEntry entry;
  entry.type = type_of(info.st_mode);
  entry.name = entry.type == TarType::directory && !name.ends_with('/') ? name + "/" : name;
  entry.mode = info.st_mode & 07777U;
  const kernel::Owner owner = shift_.to_archive(info.st_uid, info.st_gid);
  entry.uid = owner.uid;
  entry.gid = owner.gid;
  entry.mtime = {info.st_mtim.tv_sec, 0};
  if (entry.type == TarType::file) entry.size = static_cast<std::uint64_t>(info.st_size);
  if (entry.type == TarType::character_device || entry.type == TarType::block_device) {
    entry.device_major = major(info.st_rdev);
    entry.device_minor = minor(info.st_rdev);
  }
  return entry;
}

void TreePacker::add_xattrs(int fd, TarEntry& entry) const {
  for (const auto& name : kernel::list_xattrs(fd)) {
    if (!is_kept_xattr(name)) continue;
    auto value = kernel::get_xattr(fd, name);
    if (!value) continue;
    if (name == kCapabilityXattr) *value = capability_of_root(*std::move(value), 0);
    entry.xattrs.emplace_back(name, *std::move(value));
  }
}

bool TreePacker::may_enter(int directory, std::uint64_t mount) const {
  if (kernel::mount_id(directory) == mount) return true;
  return mounts_ == Mounts::enter && !is_pseudo(directory);
}

void TreePacker::add(int directory, const std::string& name, const std::string& as) {
  if (const UniqueFd fd = open_name(directory, name)) add_open(fd.get(), as);
}

void TreePacker::add_single(int directory, const std::string& name, const std::string& as) {
  if (const UniqueFd fd = open_name(directory, name)) add_entry(fd.get(), kernel::stat_fd(fd.get()), as);
}

void TreePacker::add_open(int fd, const std::string& as) {
  add_tree(fd, kernel::stat_fd(fd), as, kernel::mount_id(fd), 0);
}

void TreePacker::add_content(int directory, const std::string& prefix) {
  add_below(directory, prefix, kernel::mount_id(directory), 0);
}

void TreePacker::add_tree(int fd, const struct stat& info, const std::string& as, std::uint64_t mount, int depth) {
  add_entry(fd, info, as);
  if (!S_ISDIR(info.st_mode) || !may_enter(fd, mount)) return;
  add_below(fd, as.ends_with('/') ? as : as + "/", kernel::mount_id(fd), depth + 1);
}

void TreePacker::add_below(int directory, const std::string& prefix, std::uint64_t mount, int depth) {
  if (depth > kMaxDepth)
    fail(ErrorKind::invalid_argument, "pack {}…: directories are nested deeper than {}", printable(prefix, 64),
         kMaxDepth);
  auto entries = kernel::read_directory(directory);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const auto& entry : entries) {
    const UniqueFd fd = open_name(directory, entry.name);
    if (fd) add_tree(fd.get(), kernel::stat_fd(fd.get()), prefix + entry.name, mount, depth);
  }
}

bool TreePacker::add_known_link(const struct stat& info, TarEntry& entry) {
  if (info.st_nlink < 2 || entry.type == TarType::directory) return false;
  const auto [known, fresh] = links_.emplace(std::pair{info.st_dev, info.st_ino}, entry.name);
  if (fresh) return false;
  entry.type = TarType::hard_link;
  entry.link = known->second;
  entry.size = 0;
  tar_.add(entry);
  return true;
}

void TreePacker::add_entry(int fd, const struct stat& info, const std::string& as) {
  if (S_ISSOCK(info.st_mode)) return;
  TarEntry entry = entry_of(info, as);
  if (add_known_link(info, entry)) return;
  if (entry.type == TarType::symlink)
    entry.link = kernel::read_link(fd, "");
  else
    add_xattrs(fd, entry);
  if (entry.type == TarType::file)
    add_file(fd, entry);
  else
    tar_.add(entry);
}

void TreePacker::add_file(int fd, TarEntry& entry) {
  // The same file again, for reading: not another look-up of its name.
  const UniqueFd file = kernel::reopen(fd, O_RDONLY);
  buffer_.resize(kBuffer);
  tar_.begin(entry);
  while (tar_.missing() > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), tar_.missing()));
    const ssize_t got = ::read(file.get(), buffer_.data(), wanted);
    if (got < 0) fail_errno("read {}", printable(entry.name));
    if (got == 0) break;
    tar_.content(std::span(buffer_).first(static_cast<std::size_t>(got)));
  }
  tar_.pad();
}

}  // namespace bryo::storage

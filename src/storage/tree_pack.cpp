#include "storage/tree_pack.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "storage/copy_attributes.hpp"

namespace bryo::storage {
namespace {

constexpr int kMaxDepth = 4096;
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

}  // namespace

TarEntry TreePacker::entry_of(const struct stat& info, std::string name) const {
  TarEntry entry;
  entry.type = type_of(info.st_mode);
  entry.name = std::move(name);
  entry.mode = info.st_mode & 07777U;
  const auto owner = shift_.to_archive(info.st_uid, info.st_gid);
  entry.uid = owner.uid;
  entry.gid = owner.gid;
  entry.mtime = {info.st_mtim.tv_sec, static_cast<std::uint32_t>(info.st_mtim.tv_nsec)};
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
    if (auto value = kernel::get_xattr(fd, name)) entry.xattrs.emplace_back(name, *std::move(value));
  }
}

void TreePacker::add(int directory, const std::string& name, const std::string& as) { add_one(directory, name, as, 0); }

void TreePacker::add_directory(int directory, const std::string& as) {
  TarEntry entry = entry_of(kernel::stat_fd(directory), as.ends_with('/') ? as : as + "/");
  add_xattrs(directory, entry);
  tar_.add(entry);
}

void TreePacker::add_content(int directory, const std::string& prefix, int depth) {
  if (depth > kMaxDepth) fail(ErrorKind::invalid_argument, "pack: directories are nested deeper than {}", kMaxDepth);
  auto names = kernel::read_directory(directory);
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const auto& entry : names) add_one(directory, entry.name, prefix + entry.name, depth);
}

void TreePacker::add_one(int directory, const std::string& name, const std::string& as, int depth) {
  const auto info = kernel::try_stat_at(directory, name);
  if (!info || S_ISSOCK(info->st_mode)) return;
  if (S_ISDIR(info->st_mode)) {
    UniqueFd inside;
    try {
      inside = kernel::open_at(directory, name, O_RDONLY | O_DIRECTORY);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::not_found) return;
      throw;
    }
    add_directory(inside.get(), as);
    add_content(inside.get(), as + "/", depth + 1);
    return;
  }
  TarEntry entry = entry_of(*info, as);
  if (info->st_nlink > 1) {
    const auto [known, fresh] = links_.emplace(std::pair{info->st_dev, info->st_ino}, as);
    if (!fresh) {
      entry.type = TarType::hard_link;
      entry.link = known->second;
      entry.size = 0;
      tar_.add(entry);
      return;
    }
  }
  if (entry.type == TarType::file) {
    add_file(directory, name, std::move(entry));
    return;
  }
  if (entry.type == TarType::symlink) entry.link = kernel::read_link(directory, name);
  tar_.add(entry);
}

void TreePacker::add_file(int directory, const std::string& name, TarEntry entry) {
  UniqueFd file;
  try {
    file = kernel::open_at(directory, name, O_RDONLY | O_NONBLOCK);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::not_found) return;
    throw;
  }
  // What was looked at may have been replaced meanwhile: what is open counts.
  const struct stat info = kernel::stat_fd(file.get());
  if (!S_ISREG(info.st_mode)) return;
  entry.size = static_cast<std::uint64_t>(info.st_size);
  add_xattrs(file.get(), entry);
  tar_.begin(entry);
  std::vector<std::byte> buffer(std::min<std::uint64_t>(kBuffer, std::max<std::uint64_t>(entry.size, 1)));
  while (tar_.missing() > 0) {
    const auto wanted = std::min<std::uint64_t>(buffer.size(), tar_.missing());
    const ssize_t got = ::read(file.get(), buffer.data(), wanted);
    if (got < 0) fail_errno("read {}", entry.name);
    if (got == 0) break;
    tar_.content(std::span(buffer).first(static_cast<std::size_t>(got)));
  }
  tar_.pad();
}

}  // namespace bryo::storage

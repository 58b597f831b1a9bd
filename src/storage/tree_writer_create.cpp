// tree_writer.hpp: making one entry.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/file_capability.hpp"
#include "storage/tar_time.hpp"
#include "storage/tree_writer.hpp"
#include "storage/whiteouts.hpp"

namespace bryo::storage {
namespace {

// Files from this size on begin to go to the disk when they are written, not when everything is synced.
constexpr std::uint64_t kFlushFrom = 256U << 10;

mode_t node_type(TarType type) {
  switch (type) {
    case TarType::character_device:
      return S_IFCHR;
    case TarType::block_device:
      return S_IFBLK;
    default:
      return S_IFIFO;
  }
}

bool is_device(TarType type) { return type == TarType::character_device || type == TarType::block_device; }

}  // namespace

void unmask_this_thread() {
  if (::unshare(CLONE_FS) != 0) fail_errno("unshare(CLONE_FS)");
  ::umask(0);
}

bool TreeWriter::create(TarReader& reader, const TarEntry& entry, const Place& place) {
  switch (entry.type) {
    case TarType::file:
      return make_file(reader, entry, place);
    case TarType::directory:
      return make_directory(entry, place);
    case TarType::hard_link:
      return make_hard_link(entry, place);
    default:
      return make_other(entry, place);
  }
}

bool TreeWriter::make_file(TarReader& reader, const TarEntry& entry, const Place& place) {
  const int raw = ::openat(place.directory->get(), place.name.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry.mode & 0777U);
  if (raw < 0 && errno == EEXIST) return false;
  const UniqueFd fd(raw);
  if (!fd) fail_errno("create");
  if (entry.sparse)
    write_regions(reader, entry, fd.get());
  else
    write_content(reader, fd.get());
  set_attributes(entry, fd.get(), true);
  const struct timespec times[2] = {to_timespec(entry.mtime), to_timespec(entry.mtime)};
  if (::futimens(fd.get(), times) != 0) fail_errno("set times");
  if (options_.layer && entry.size >= kFlushFrom) ::sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  return true;
}

void TreeWriter::write_content(TarReader& reader, int fd) {
  std::uint64_t written = 0;
  for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) {
    kernel::write_all(fd, piece);
    written += piece.size();
    if (written >= (64ULL << 20)) {
      check_space();
      written = 0;
    }
  }
}

void TreeWriter::write_regions(TarReader& reader, const TarEntry& entry, int fd) {
  if (::ftruncate(fd, static_cast<off_t>(entry.size)) != 0) fail_errno("set size");
  std::span<const std::byte> piece;
  for (const TarRegion& region : entry.regions) {
    if (::lseek(fd, static_cast<off_t>(region.offset), SEEK_SET) < 0) fail_errno("seek");
    for (std::uint64_t left = region.size; left > 0;) {
      if (piece.empty()) piece = reader.content();
      if (piece.empty()) fail(ErrorKind::invalid_argument, "sparse file is cut short");
      const auto part = piece.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size())));
      kernel::write_all(fd, part);
      piece = piece.subspan(part.size());
      left -= part.size();
    }
  }
}

bool TreeWriter::make_directory(const TarEntry& entry, const Place& place) {
  const int parent = place.directory->get();
  const bool fresh = kernel::try_make_directory(parent, place.name, entry.mode & 01777U);
  const UniqueFd fd(::openat(parent, place.name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && (errno == ENOTDIR || errno == ELOOP)) return false;
  if (!fd) fail_errno("open");
  finish_directory(entry, fd.get(), place.path, fresh);
  return true;
}

bool TreeWriter::make_hard_link(const TarEntry& entry, const Place& place) {
  // Absolute targets are legal and mean the tree's own; ".." may not climb (CVE-2014-9356).
  const std::string target = path_of(entry.link);
  if (target == options_.prefix) fail(ErrorKind::invalid_argument, "hard link to the top of the tree");
  const Place from = locate(target, false);
  if (::linkat(from.directory->get(), from.name.c_str(), place.directory->get(), place.name.c_str(), 0) == 0)
    return true;
  if (errno == EEXIST) return false;
  fail_errno("hard link to {}", printable(entry.link));
}

bool TreeWriter::make_other(const TarEntry& entry, const Place& place) {
  if (is_device(entry.type) && !options_.devices) return true;
  const int parent = place.directory->get();
  const int failed = entry.type == TarType::symlink
                         ? ::symlinkat(entry.link.c_str(), parent, place.name.c_str())
                         : ::mknodat(parent, place.name.c_str(), node_type(entry.type) | (entry.mode & 0777U),
                                     makedev(entry.device_major, entry.device_minor));
  if (failed != 0 && errno == EEXIST) return false;
  if (failed != 0) fail_errno("create");
  const kernel::Owner owner = owner_of(entry);
  const bool simple = entry.xattrs.empty() && (entry.type == TarType::symlink || (entry.mode & 07000U) == 0);
  if (simple) {
    if (must_change_owner(owner)) kernel::change_owner_at(parent, place.name, owner.uid, owner.gid);
  } else {
    set_attributes(entry, kernel::open_at(parent, place.name, O_PATH).get(), true);
  }
  kernel::set_times_at(parent, place.name, to_timespec(entry.mtime), to_timespec(entry.mtime));
  return true;
}

kernel::Owner TreeWriter::owner_of(const TarEntry& entry) const {
  if (options_.owner) return options_.shift.to_disk(options_.owner->uid, options_.owner->gid);
  return options_.shift.to_disk(entry.uid, entry.gid);
}

bool TreeWriter::must_change_owner(const kernel::Owner& owner) const {
  // New files are ours, except below a set-gid directory, which gives its group.
  return !options_.layer || set_gid_seen_ || owner.uid != self_.uid || owner.gid != self_.gid;
}

void TreeWriter::set_attributes(const TarEntry& entry, int fd, bool fresh) {
  const kernel::Owner owner = owner_of(entry);
  const bool change = !fresh || must_change_owner(owner);
  if (change) kernel::change_owner(fd, owner.uid, owner.gid);
  if (entry.type != TarType::symlink && (!fresh || (entry.mode & 07000U) != 0)) kernel::change_mode(fd, entry.mode);
  if (!entry.xattrs.empty()) set_xattrs(entry, fd);
}

void TreeWriter::set_xattrs(const TarEntry& entry, int fd) const {
  for (const auto& [name, value] : entry.xattrs) {
    if (is_overlay_xattr(name)) continue;
    const bool capability = name == kCapabilityXattr;
    const bool kept = capability
                          ? kernel::try_set_xattr(fd, name, capability_of_root(value, options_.shift.to_disk(0, 0).uid))
                          : kernel::try_set_xattr(fd, name, value);
    // What this file system has no room for is left out, as Docker does; capabilities are not.
    if (!kept && capability) fail(ErrorKind::unsupported, "cannot keep the file's capabilities here");
  }
}

}  // namespace bryo::storage

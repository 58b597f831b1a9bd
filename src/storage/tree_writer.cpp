#include "storage/tree_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/tar_time.hpp"
#include "storage/whiteouts.hpp"

namespace bryo::storage {
namespace {

constexpr std::size_t kMaxOpenDirectories = 128;
constexpr std::size_t kMaxLate = 65536;
constexpr std::uint64_t kCheckSpaceEvery = 64ULL << 20;
constexpr std::uint64_t kRatioFrom = 64ULL << 20;

}  // namespace

std::string clean_entry_name(std::string_view name, std::uint32_t max_depth) {
  std::vector<std::string_view> parts;
  for (const auto part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (parts.empty())
        fail(ErrorKind::invalid_argument, "archive entry \"{}\" leads out of the tree", printable(name));
      parts.pop_back();
      continue;
    }
    if (part.size() > 255)
      fail(ErrorKind::invalid_argument, "archive entry \"{}\": a name is longer than 255 bytes", printable(name, 64));
    parts.push_back(part);
  }
  if (parts.size() > max_depth)
    fail(ErrorKind::invalid_argument, "archive entry \"{}…\" is deeper than {} directories", printable(name, 64),
         max_depth);
  std::string clean;
  for (const auto part : parts) {
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

TreeWriter::TreeWriter(const kernel::RootDirectory& root, TreeWriterOptions options)
    : root_(root), options_(std::move(options)), self_{::geteuid(), ::getegid()} {}

void TreeWriter::write(TarReader& reader) {
  check_space();
  TarEntry entry;
  while (reader.next(entry)) {
    count(reader, entry);
    try {
      add(reader, entry);
    } catch (const Error& error) {
      throw error.within(fmt::format("unpack {}", printable(entry.name)));
    }
  }
  flush_late();
}

void TreeWriter::count(const TarReader& reader, const TarEntry& entry) {
  const UnpackLimits& limits = options_.limits;
  ++totals_.entries;
  if (limits.entries != 0 && totals_.entries > limits.entries)
    fail(ErrorKind::exhausted, "archive has more than {} entries", limits.entries);
  totals_.bytes += entry.size;
  if (limits.bytes != 0 && (totals_.bytes > limits.bytes || entry.size > limits.bytes))
    fail(ErrorKind::exhausted, "archive unpacks to more than {} bytes", limits.bytes);
  if (limits.ratio != 0 && options_.compressed_bytes && reader.position() > kRatioFrom &&
      reader.position() / limits.ratio > options_.compressed_bytes())
    fail(ErrorKind::exhausted, "archive grows more than {}-fold when unpacked", limits.ratio);
  const kernel::Owner owner = options_.layer ? owner_of(entry) : kernel::Owner{entry.uid, entry.gid};
  totals_.max_uid = std::max<std::uint32_t>(totals_.max_uid, owner.uid);
  totals_.max_gid = std::max<std::uint32_t>(totals_.max_gid, owner.gid);
}

void TreeWriter::check_space() {
  const auto space = kernel::filesystem_space(root_.fd());
  if (space.free_bytes < options_.limits.reserve_bytes)
    fail(ErrorKind::exhausted,
         "no space left on device: {} bytes are free and {} must remain: remove images or volumes", space.free_bytes,
         options_.limits.reserve_bytes);
  checked_space_at_ = totals_.bytes;
}

void TreeWriter::add(TarReader& reader, const TarEntry& entry) {
  if (totals_.bytes - checked_space_at_ > kCheckSpaceEvery) check_space();
  const std::string path = path_of(entry.name);
  if (path == options_.prefix) return add_root(entry);
  Place place = locate(path);
  if (options_.layer && add_whiteout(place)) return;
  if (create(reader, entry, place)) return;
  clear_place(entry, place);
  if (!create(reader, entry, place)) fail(ErrorKind::conflict, "something else writes to the same place");
}

std::string TreeWriter::path_of(std::string_view name) const {
  std::string path = clean_entry_name(name, options_.limits.depth);
  if (options_.prefix.empty() || path.empty()) return path.empty() ? options_.prefix : path;
  return options_.prefix + "/" + path;
}

void TreeWriter::add_root(const TarEntry& entry) {
  // The top is a directory, and stays the one that it is (CVE-2014-6407: a layer whose root is a link).
  if (entry.type != TarType::directory) fail(ErrorKind::invalid_argument, "the archive's top must be a directory");
  totals_.root_entry = true;
  if (options_.prefix.empty()) return finish_directory(entry, root_.fd(), ".", false);
  finish_directory(entry, open_directory(options_.prefix).get(), options_.prefix, false);
}

bool TreeWriter::add_whiteout(const Place& place) {
  const auto whiteout = parse_whiteout(place.name);
  if (whiteout.kind == Whiteout::Kind::none) return false;
  if (whiteout.kind == Whiteout::Kind::ignored) return true;
  const int directory = place.directory->get();
  if (whiteout.kind == Whiteout::Kind::opaque) {
    set_opaque(directory);
    return true;
  }
  const auto there = kernel::try_stat_at(directory, whiteout.name);
  if (!there) {
    make_whiteout(directory, whiteout.name);
  } else if (S_ISDIR(there->st_mode)) {
    // It hides what lies below this layer, not what this layer brings itself (image-spec layer.md, "Whiteouts").
    set_opaque(kernel::open_at(directory, whiteout.name, O_RDONLY | O_DIRECTORY).get());
  }
  return true;
}

void TreeWriter::clear_place(const TarEntry& entry, Place& place) {
  const int directory = place.directory->get();
  const auto there = kernel::try_stat_at(directory, place.name);
  if (!there) return;
  const bool was_directory = S_ISDIR(there->st_mode);
  const bool becomes_directory = entry.type == TarType::directory;
  if (options_.no_overwrite_dir_non_dir && was_directory != becomes_directory)
    fail(ErrorKind::invalid_argument, "cannot overwrite {} \"/{}\" with {}",
         was_directory ? "directory" : "non-directory", printable(place.path),
         becomes_directory ? "directory" : "non-directory");
  if (was_directory) {
    kernel::remove_tree(directory, place.name);
    // Names that were resolved through it mean something else now.
    directories_.clear();
    last_directory_.reset();
    const std::string below = place.path + "/";
    std::erase_if(late_, [&](const Late& late) { return late.path == place.path || late.path.starts_with(below); });
    place = locate(place.path);
    return;
  }
  kernel::unlink_at(directory, place.name);
  // A directory in the place of a whiteout must go on hiding what the whiteout hid.
  if (!options_.layer || !becomes_directory || !is_whiteout(*there)) return;
  kernel::make_directory(directory, place.name, 0755);
  set_opaque(kernel::open_at(directory, place.name, O_RDONLY | O_DIRECTORY).get());
}

TreeWriter::Place TreeWriter::locate(const std::string& path, bool make) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {directory_at(std::string(), make), path, path};
  return {directory_at(path.substr(0, slash), make), path.substr(slash + 1), path};
}

TreeWriter::SharedFd TreeWriter::directory_at(const std::string& path, bool make) {
  if (last_directory_ && path == last_path_) return last_directory_;
  const auto found = directories_.find(path);
  if (found != directories_.end()) {
    last_directory_ = found->second;
  } else {
    if (directories_.size() >= kMaxOpenDirectories) directories_.clear();
    last_directory_ = std::make_shared<const UniqueFd>(make ? open_directory(in_tree(path))
                                                            : root_.resolve(in_tree(path), O_PATH | O_DIRECTORY));
    directories_.emplace(path, last_directory_);
  }
  last_path_ = path;
  return last_directory_;
}

std::string TreeWriter::in_tree(const std::string& path) const {
  if (options_.base.empty()) return path.empty() ? "." : path;
  return path.empty() ? options_.base : options_.base + "/" + path;
}

UniqueFd TreeWriter::open_directory(const std::string& path) {
  if (auto there = root_.try_resolve(path, O_PATH | O_DIRECTORY)) return std::move(*there);
  if (options_.layer) replace_whiteouts(path);
  return root_.make_directories(path, 0755, owner_of(TarEntry{}));
}

// ".wh.a" and then "a/b": a is a directory of this layer that hides the one below.
void TreeWriter::replace_whiteouts(const std::string& path) {
  for (std::size_t end = path.find('/'); end != std::string::npos || !path.empty(); end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    const auto parent = root_.resolve_parent(prefix);
    const auto there = kernel::try_stat_at(parent.directory.get(), parent.name);
    if (!there) return;
    if (is_whiteout(*there)) {
      kernel::unlink_at(parent.directory.get(), parent.name);
      kernel::make_directory(parent.directory.get(), parent.name, 0755);
      set_opaque(kernel::open_at(parent.directory.get(), parent.name, O_RDONLY | O_DIRECTORY).get());
      return;
    }
    if (end == std::string::npos) return;
  }
}

void TreeWriter::finish_directory(const TarEntry& entry, int fd, const std::string& path, bool fresh) {
  constexpr std::uint32_t kSetIds = 06000;
  TarEntry now = entry;
  now.mode &= ~kSetIds;
  set_attributes(now, fd, fresh);
  Late late{path, entry.mtime, std::nullopt};
  if ((entry.mode & kSetIds) != 0) late.mode = entry.mode;
  late_.push_back(std::move(late));
  if (late_.size() >= kMaxLate) flush_late();
}

void TreeWriter::flush_late() {
  for (auto late = late_.rbegin(); late != late_.rend(); ++late) {
    UniqueFd fd;
    try {
      fd = root_.resolve(in_tree(late->path), O_PATH | O_DIRECTORY | (late->path.empty() ? 0 : O_NOFOLLOW));
    } catch (const Error&) {
      continue;  // replaced by a later entry
    }
    if (late->mode) {
      kernel::change_mode(fd.get(), *late->mode);
      set_gid_seen_ = true;
    }
    kernel::set_times(fd.get(), to_timespec(late->mtime), to_timespec(late->mtime));
  }
  late_.clear();
}

}  // namespace bryo::storage

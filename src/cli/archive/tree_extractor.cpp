#include "cli/archive/tree_extractor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/format/path_text.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxDepth = 1000;
constexpr std::size_t kMaxOpenDirectories = 256;
constexpr mode_t kPermissions = 0777;

[[noreturn]] void refuse(std::string_view name, std::string_view why) {
  fail(ErrorKind::invalid_argument, "refusing to unpack \"{}\": {}", printable(name), why);
}

UniqueFd open_directory(int parent, const std::string& name) {
  return UniqueFd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

void set_times(int fd, const TarEntry& entry) {
  const std::array<timespec, 2> times = {timespec{0, UTIME_NOW}, timespec{entry.mtime, 0}};
  ::futimens(fd, times.data());
}

}  // namespace

TreeExtractor::TreeExtractor(const std::string& directory, std::string expected, std::string replacement)
    : root_name_(directory),
      root_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      expected_(std::move(expected)),
      replacement_(std::move(replacement)) {
  if (!root_) fail_errno("open {}", directory);
}

void TreeExtractor::extract(TarReader& archive) {
  while (const auto entry = archive.next()) add(*entry, archive);
  finish_directories();
}

// The path below the directory: without the expected base, with the replacement before it.
std::vector<std::string> TreeExtractor::components_of(const std::string& name) const {
  std::vector<std::string> parts;
  if (name.starts_with('/') && expected_ != "/") refuse(name, "an absolute name");
  for (const std::string_view part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") refuse(name, "it leads out of the directory");
    if (part.find('\0') != std::string_view::npos || part.size() > 255) refuse(name, "not a file name");
    parts.emplace_back(part);
  }
  if (parts.size() > kMaxDepth) refuse(name, "too deep");
  if (expected_ != "." && expected_ != "/") {
    if (parts.empty() || parts[0] != expected_) refuse(name, "it is not part of what was asked for");
    parts.erase(parts.begin());
  }
  if (replacement_ != "." && replacement_ != "/") parts.insert(parts.begin(), replacement_);
  return parts;
}

TreeExtractor::Place TreeExtractor::locate(const std::string& name) {
  const std::vector<std::string> parts = components_of(name);
  Place place;
  place.shown = root_name_;
  place.parent = UniqueFd(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    place.shown += "/" + parts[i];
    UniqueFd next = open_directory(place.parent.get(), parts[i]);
    if (!next && errno == ENOENT) {
      if (::mkdirat(place.parent.get(), parts[i].c_str(), kPermissions) != 0 && errno != EEXIST)
        fail_errno("make the directory {}", place.shown);
      next = open_directory(place.parent.get(), parts[i]);
    }
    // CVE-2018-1002100, CVE-2019-1002101: a link (ELOOP, or ENOTDIR with O_DIRECTORY) is never followed.
    if (!next && (errno == ELOOP || errno == ENOTDIR)) refuse(name, "a link or a file is in the way: " + place.shown);
    if (!next) fail_errno("open the directory {}", place.shown);
    place.parent = std::move(next);
  }
  place.name = parts.empty() ? "." : parts.back();
  if (!parts.empty()) place.shown += "/" + place.name;
  return place;
}

void TreeExtractor::add(const TarEntry& entry, TarReader& archive) {
  const Place place = locate(entry.name);
  switch (entry.type) {
    case TarEntry::Type::directory:
      return make_directory(place, entry);
    case TarEntry::Type::file:
      return make_file(place, entry, archive);
    case TarEntry::Type::symlink:
    case TarEntry::Type::hard_link:
      return make_link(place, entry);
    case TarEntry::Type::fifo:
      clear_way(place, false);
      if (::mkfifoat(place.parent.get(), place.name.c_str(), entry.mode & kPermissions) != 0)
        fail_errno("make the fifo {}", place.shown);
      return;
    case TarEntry::Type::character:
    case TarEntry::Type::block:
      skipped_.push_back(place.shown);
      return;
  }
}

// What stands there already gives way, unless one is a directory and the other is not.
void TreeExtractor::clear_way(const Place& place, bool directory_wanted) {
  struct stat status {};
  if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) fail_errno("look at {}", place.shown);
    return;
  }
  const bool is_directory = S_ISDIR(status.st_mode);
  if (is_directory && !directory_wanted)
    fail(ErrorKind::conflict, "cannot overwrite directory \"{}\" with non-directory", place.shown);
  if (!is_directory && directory_wanted)
    fail(ErrorKind::conflict, "cannot overwrite non-directory \"{}\" with directory", place.shown);
  if (!is_directory && ::unlinkat(place.parent.get(), place.name.c_str(), 0) != 0)
    fail_errno("replace {}", place.shown);
}

void TreeExtractor::make_directory(const Place& place, const TarEntry& entry) {
  clear_way(place, true);
  const bool made = ::mkdirat(place.parent.get(), place.name.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) fail_errno("make the directory {}", place.shown);
  UniqueFd directory = open_directory(place.parent.get(), place.name);
  if (!directory) fail_errno("open the directory {}", place.shown);
  // Of a directory that was there before, nothing changes.
  if (!made) return;
  if (directories_.size() >= kMaxOpenDirectories) finish_directories();
  if (::fchmod(directory.get(), (entry.mode & kPermissions) | S_IRWXU) != 0)
    fail_errno("set the mode of {}", place.shown);
  directories_.push_back({std::move(directory), entry});
}

void TreeExtractor::make_file(const Place& place, const TarEntry& entry, TarReader& archive) {
  clear_way(place, false);
  const UniqueFd file(
      ::openat(place.parent.get(), place.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) fail_errno("make the file {}", place.shown);
  std::array<char, 64 << 10> block;
  while (const std::size_t got = archive.read(block)) {
    for (std::size_t done = 0; done < got;) {
      const ssize_t sent = ::write(file.get(), block.data() + done, got - done);
      if (sent < 0 && errno != EINTR) fail_errno("write {}", place.shown);
      if (sent > 0) done += static_cast<std::size_t>(sent);
    }
    bytes_ += got;
  }
  if (::fchmod(file.get(), entry.mode & kPermissions) != 0) fail_errno("set the mode of {}", place.shown);
  set_times(file.get(), entry);
}

void TreeExtractor::make_link(const Place& place, const TarEntry& entry) {
  clear_way(place, false);
  if (entry.type == TarEntry::Type::symlink) {
    // Where it points does not matter: nothing here follows it.
    if (entry.link.empty()) refuse(entry.name, "a link to nowhere");
    if (::symlinkat(entry.link.c_str(), place.parent.get(), place.name.c_str()) != 0)
      fail_errno("make the link {}", place.shown);
    return;
  }
  const Place target = locate(entry.link);
  if (::linkat(target.parent.get(), target.name.c_str(), place.parent.get(), place.name.c_str(), 0) != 0)
    fail_errno("link {} to {}", place.shown, target.shown);
}

// Modes and times last, when nothing is written into the directories any more.
void TreeExtractor::finish_directories() {
  for (auto item = directories_.rbegin(); item != directories_.rend(); ++item) {
    ::fchmod(item->directory.get(), item->entry.mode & kPermissions);
    set_times(item->directory.get(), item->entry);
  }
  directories_.clear();
}

}  // namespace bryo::cli

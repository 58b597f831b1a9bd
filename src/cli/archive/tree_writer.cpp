#include "cli/archive/tree_writer.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <vector>

#include "base/error.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kPiece = 64 << 10;

std::string link_target(const std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  if (size < 0) fail_errno("read the link {}", path);
  return std::string(target.data(), static_cast<std::size_t>(size));
}

std::string file_capability(const std::string& path) {
  std::array<char, 256> value;
  const ssize_t size = ::lgetxattr(path.c_str(), "security.capability", value.data(), value.size());
  return size <= 0 ? std::string() : std::string(value.data(), static_cast<std::size_t>(size));
}

// nullopt for sockets, which an archive cannot hold.
std::optional<TarEntry::Type> type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return TarEntry::Type::file;
    case S_IFDIR:
      return TarEntry::Type::directory;
    case S_IFLNK:
      return TarEntry::Type::symlink;
    case S_IFCHR:
      return TarEntry::Type::character;
    case S_IFBLK:
      return TarEntry::Type::block;
    case S_IFIFO:
      return TarEntry::Type::fifo;
    default:
      return std::nullopt;
  }
}

}  // namespace

TreeWriter::TreeWriter(std::string path, std::string name) { waiting_.push_back({std::move(path), std::move(name)}); }

std::size_t TreeWriter::read(std::span<char> into) {
  while (output_.empty() && !finished_) refill();
  const std::size_t size = std::min(into.size(), output_.size());
  output_.copy(into.data(), size);
  output_.erase(0, size);
  produced_ += size;
  return size;
}

void TreeWriter::refill() {
  if (file_) {
    read_file();
  } else if (!waiting_.empty()) {
    const Item item = std::move(waiting_.front());
    waiting_.pop_front();
    add(item);
  } else {
    output_.assign(2 * kTarBlock, '\0');
    finished_ = true;
  }
}

void TreeWriter::add(const Item& item) {
  struct stat status {};
  if (::lstat(item.path.c_str(), &status) != 0) fail_errno("lstat {}", item.path);
  const auto type = type_of(status.st_mode);
  if (!type) return;
  TarEntry entry;
  entry.type = *type;
  entry.name = *type == TarEntry::Type::directory ? item.name + "/" : item.name;
  entry.mode = status.st_mode & 07777U;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime = status.st_mtim.tv_sec;
  if (*type == TarEntry::Type::symlink) entry.link = link_target(item.path);
  if (*type == TarEntry::Type::character || *type == TarEntry::Type::block) {
    entry.device_major = major(status.st_rdev);
    entry.device_minor = minor(status.st_rdev);
  }
  if (*type == TarEntry::Type::file) {
    entry.capability = file_capability(item.path);
    const auto first = linked_.find({status.st_dev, status.st_ino});
    if (first != linked_.end()) {
      entry.type = TarEntry::Type::hard_link;
      entry.link = first->second;
    } else {
      if (status.st_nlink > 1) linked_[{status.st_dev, status.st_ino}] = item.name;
      file_ = UniqueFd(::open(item.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      if (!file_) fail_errno("open {}", item.path);
      file_path_ = item.path;
      entry.size = file_left_ = static_cast<std::uint64_t>(status.st_size);
      file_padding_ = (kTarBlock - file_left_ % kTarBlock) % kTarBlock;
    }
  }
  output_ += tar_header(entry);
  if (*type == TarEntry::Type::directory) {
    const UniqueFd directory(::open(item.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!directory) fail_errno("open {}", item.path);
    add_children(item, directory.get());
  }
}

void TreeWriter::add_children(const Item& item, int directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(::fcntl(directory, F_DUPFD_CLOEXEC, 0)), ::closedir);
  if (!stream) fail_errno("read the directory {}", item.path);
  std::vector<Item> children;
  while (const dirent* child = ::readdir(stream.get())) {
    const std::string name = child->d_name;
    if (name != "." && name != "..") children.push_back({item.path + "/" + name, item.name + "/" + name});
  }
  std::sort(children.begin(), children.end(), [](const Item& a, const Item& b) { return a.name < b.name; });
  waiting_.insert(waiting_.begin(), std::make_move_iterator(children.begin()), std::make_move_iterator(children.end()));
}

// A file that shrinks while it is read is an error; one that grows is cut at the size its header says.
void TreeWriter::read_file() {
  if (file_left_ == 0) {
    output_.assign(static_cast<std::size_t>(file_padding_), '\0');
    file_.reset();
    return;
  }
  output_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(file_left_, kPiece)));
  ssize_t got = 0;
  while ((got = ::read(file_.get(), output_.data(), output_.size())) < 0)
    if (errno != EINTR) fail_errno("read {}", file_path_);
  if (got == 0) fail(ErrorKind::conflict, "read {}: the file became shorter while it was being copied", file_path_);
  output_.resize(static_cast<std::size_t>(got));
  file_left_ -= static_cast<std::uint64_t>(got);
}

}  // namespace bryo::cli

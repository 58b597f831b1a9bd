// remove_tree of paths.hpp.
#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"

namespace bryo::kernel {
namespace {

// Below this many levels a directory is moved up to the top of what is being removed and taken from there: neither
// descriptors nor the stack grow with the depth of a hostile tree.
constexpr int kMaxDepth = 128;

class Remover {
 public:
  Remover(int parent, const std::string& name, const std::atomic<bool>* stop)
      : parent_(parent), name_(name), stop_(stop) {}

  void run() {
    if (try_unlink(parent_, name_, 0)) return;
    top_ = open_directory(parent_, name_);
    if (!top_) return;
    mount_ = mount_id(top_.get());
    if (mount_ != mount_id(parent_)) blocked_ = name_;
    // Directories moved up show only in a second reading.
    do {
      moved_ = false;
      if (blocked_.empty()) empty_directory(top_.get(), 0);
    } while (moved_);
    if (blocked_.empty()) try_unlink(parent_, name_, AT_REMOVEDIR);
    if (!blocked_.empty())
      fail(ErrorKind::conflict, "remove {}: a file system is mounted at {}: unmount it first", printable(name_),
           printable(blocked_));
  }

 private:
  // false when it is a directory (or, with AT_REMOVEDIR, busy).
  bool try_unlink(int directory, const std::string& name, int flags) {
    if (::unlinkat(directory, name.c_str(), flags) == 0 || errno == ENOENT) return true;
    if (errno == EISDIR || (flags == 0 && errno == EPERM && is_directory(directory, name))) return false;
    if (errno == EBUSY || (errno == ENOTEMPTY && !blocked_.empty())) {
      blocked_ = name;
      return true;
    }
    if (errno == ENOTEMPTY && flags == AT_REMOVEDIR) return false;
    fail_errno("unlink {}", printable(name));
  }

  static bool is_directory(int directory, const std::string& name) {
    const auto info = try_stat_at(directory, name);
    return info && S_ISDIR(info->st_mode);
  }

  static UniqueFd open_directory(int directory, const std::string& name) {
    UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && errno != ENOENT && errno != ENOTDIR) fail_errno("open {}", printable(name));
    return fd;
  }

  void empty_directory(int directory, int depth) {
    for (const auto& entry : read_directory(directory)) {
      if (stop_ != nullptr && *stop_) fail(ErrorKind::cancelled, "remove {}: stopped", printable(name_));
      if (entry.type != DT_DIR && try_unlink(directory, entry.name, 0)) continue;
      remove_directory(directory, entry.name, depth);
    }
  }

  void remove_directory(int directory, const std::string& name, int depth) {
    // An empty directory needs no opening.
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) return;
    if (depth >= kMaxDepth) return move_up(directory, name);
    const UniqueFd child = open_directory(directory, name);
    if (!child) return;
    if (mount_id(child.get()) != mount_) {
      blocked_ = name;
      return;
    }
    empty_directory(child.get(), depth + 1);
    try_unlink(directory, name, AT_REMOVEDIR);
  }

  void move_up(int directory, const std::string& name) {
    for (;;) {
      const std::string target = fmt::format(".bryo-deep-{}", ++moves_);
      if (::renameat2(directory, name.c_str(), top_.get(), target.c_str(), RENAME_NOREPLACE) == 0) break;
      if (errno != EEXIST) fail_errno("rename {}", printable(name));
    }
    moved_ = true;
  }

  const int parent_;
  const std::string& name_;
  const std::atomic<bool>* const stop_;
  UniqueFd top_;
  std::uint64_t mount_ = 0;
  std::string blocked_;  // a mount point that is in the way
  bool moved_ = false;
  unsigned moves_ = 0;
};

}  // namespace

void remove_tree(int parent, const std::string& name, const std::atomic<bool>* stop) {
  if (!is_plain_name(name)) fail(ErrorKind::invalid_argument, "remove {}: not a file name", printable(name));
  Remover(parent, name, stop).run();
}

}  // namespace bryo::kernel

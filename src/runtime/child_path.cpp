#include "runtime/child_path.hpp"

#include <limits.h>
#include <linux/magic.h>

#include "kernel/raw.hpp"
#include "runtime/child_link.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

constexpr std::uint64_t kInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
constexpr int kMaxLinks = 40;
using PathText = FixedText<PATH_MAX>;

bool on_procfs(int fd) noexcept {
  struct statfs info = {};
  return raw::fstatfs(fd, info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

// Walks a path of which something is missing. `done_` never holds a link: it is looked up again with
// RESOLVE_NO_SYMLINKS, so whoever swaps a directory for a link meanwhile causes an error and nothing else.
class PathMaker {
 public:
  PathMaker(int root, Links links, bool directory, std::uint32_t mode) noexcept
      : root_(root), links_(links), directory_(directory), mode_(mode) {}

  int make(const char* path) noexcept {
    todo_.add(path);
    for (int round = 0; round < PATH_MAX; ++round) {
      if (todo_.full() || done_.full()) return -ENAMETOOLONG;
      if (!next_component()) return finish();
      const int result = step();
      if (result < 0) return result;
    }
    return -ELOOP;
  }

 private:
  // Moves the first component of todo_ into name_; false when there is none.
  bool next_component() noexcept {
    const char* text = todo_.c_str();
    while (*text == '/') ++text;
    const char* end = text;
    while (*end != '\0' && *end != '/') ++end;
    name_.clear();
    name_.add(text, static_cast<std::size_t>(end - text));
    PathText rest;
    rest.add(end);
    todo_ = rest;
    return name_.size() > 0;
  }

  bool is(const char* name) const noexcept {
    const char* a = name_.c_str();
    while (*a != '\0' && *a == *name) ++a, ++name;
    return *a == *name;
  }

  bool last() const noexcept {
    const char* rest = todo_.c_str();
    while (*rest == '/') ++rest;
    return *rest == '\0';
  }

  int open_done() noexcept {
    return raw::open_below(root_, done_.size() == 0 ? "." : done_.c_str(), O_PATH | O_DIRECTORY,
                           kInRoot | RESOLVE_NO_SYMLINKS);
  }

  int step() noexcept {
    if (is(".")) return 0;
    if (is("..")) {
      climb();
      return 0;
    }
    const int parent = open_done();
    if (parent < 0) return parent;
    // Nothing can be made on a procfs, and its links are not what readlink says (CVE-2024-21626).
    const int result = on_procfs(parent) ? -ENOENT : enter(parent);
    raw::close(parent);
    return result;
  }

  void climb() noexcept {
    std::size_t size = done_.size();
    while (size > 0 && done_.c_str()[size - 1] != '/') --size;
    done_.cut(size > 0 ? size - 1 : 0);
  }

  // One component below `parent`: follow it, take it, or make it.
  int enter(int parent) noexcept {
    for (int attempt = 0; attempt < 4; ++attempt) {
      struct stat info = {};
      if (::fstatat(parent, name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(info.st_mode)) return follow(parent);
        if (!last() && !S_ISDIR(info.st_mode)) return -ENOTDIR;
        if (done_.size() > 0) done_.add("/");
        done_.add(name_.c_str());
        return 0;
      }
      if (errno != ENOENT) return -errno;
      const int made = last() && !directory_ ? make_file(parent) : make_directory(parent);
      // EEXIST: somebody else made it just now; look again.
      if (made < 0 && made != -EEXIST) return made;
    }
    return -EAGAIN;
  }

  int make_directory(int parent) const noexcept {
    return static_cast<int>(raw::call(SYS_mkdirat, parent, name_.c_str(), last() ? mode_ : 0755U));
  }

  int make_file(int parent) const noexcept {
    const long fd = raw::call(SYS_openat, parent, name_.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0) return static_cast<int>(fd);
    raw::close(static_cast<int>(fd));
    return 0;
  }

  int follow(int parent) noexcept {
    if (links_ == Links::refuse || ++followed_ > kMaxLinks) return -ELOOP;
    char target[PATH_MAX];
    const long size = raw::call(SYS_readlinkat, parent, name_.c_str(), target, sizeof target - 1);
    if (size <= 0) return size < 0 ? static_cast<int>(size) : -ENOENT;
    if (target[0] == '/') done_.clear();
    PathText rest;
    rest.add(target, static_cast<std::size_t>(size)).add("/").add(todo_.c_str());
    todo_ = rest;
    return 0;
  }

  int finish() noexcept {
    return raw::open_below(root_, done_.size() == 0 ? "." : done_.c_str(), O_PATH | (directory_ ? O_DIRECTORY : 0),
                           kInRoot | RESOLVE_NO_SYMLINKS);
  }

  int root_;
  Links links_;
  bool directory_;
  std::uint32_t mode_;
  int followed_ = 0;
  PathText todo_;
  PathText done_;
  FixedText<NAME_MAX + 2> name_;
};

}  // namespace

int open_path(int root, const char* path, Links links, std::uint64_t flags) noexcept {
  return raw::open_below(root, path, O_PATH | flags,
                         kInRoot | (links == Links::refuse ? RESOLVE_NO_SYMLINKS : std::uint64_t{0}));
}

int make_path(int root, const char* path, Links links, bool directory, std::uint32_t mode) noexcept {
  const int found = open_path(root, path, links, directory ? O_DIRECTORY : 0);
  if (found != -ENOENT) return found;
  PathMaker maker(root, links, directory, mode);
  return maker.make(path);
}

}  // namespace bryo::runtime::child

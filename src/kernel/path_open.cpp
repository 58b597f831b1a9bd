// One look-up of a name below a directory: openat2(2), and the walk that replaces it.
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"

namespace bryo::kernel {
namespace {

// A rename somewhere on the system during the look-up gives EAGAIN; more than this is an attack or a very busy tree.
constexpr int kMaxTries = 256;
constexpr int kMaxLinks = 40;  // as the kernel

// -errno on failure.
int call_openat2(int directory, const char* path, int flags, mode_t mode, Scope scope) {
  struct open_how how {};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = (flags & O_CREAT) != 0 ? mode & 07777U : 0;
  how.resolve = scope == Scope::in_root ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
                                        : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    const long fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if ((errno != EAGAIN && errno != EINTR) || tries >= kMaxTries) return -errno;
  }
}

bool have_openat2() {
  static const bool have = [] {
    const int fd = call_openat2(AT_FDCWD, ".", O_PATH | O_CLOEXEC, 0, Scope::in_root);
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }();
  return have;
}

// The state of one walk: names already resolved to directories, and names still to do.
class Walk {
 public:
  Walk(int root, Scope scope, int flags, mode_t mode) : root_(root), scope_(scope), flags_(flags), mode_(mode) {}

  // -errno on failure.
  int run(const std::string& path) {
    if (scope_ == Scope::beneath && path.starts_with('/')) return -EXDEV;
    if (const int error = push_names(path)) return error;
    if (const int error = enter_root()) return error;
    while (!todo_.empty()) {
      const std::string name = std::move(todo_.front());
      todo_.pop_front();
      const int result = step(name, todo_.empty());
      if (result != kGoOn) return result;
    }
    return open_here();
  }

 private:
  static constexpr int kGoOn = INT_MIN;

  int push_names(std::string_view path) {
    std::vector<std::string> names;
    for (const auto piece : split(path, '/'))
      if (!piece.empty() && piece != ".") names.emplace_back(piece);
    todo_.insert(todo_.begin(), names.begin(), names.end());
    return todo_.size() > PATH_MAX ? -ENAMETOOLONG : 0;
  }

  int enter_root() {
    here_.reset(::openat(root_, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    done_.clear();
    return here_ ? 0 : -errno;
  }

  // ".." is never asked of the kernel: a directory that was moved away meanwhile would lead out of the tree.
  int climb() {
    if (done_.empty()) return scope_ == Scope::in_root ? 0 : -EXDEV;
    std::vector<std::string> names(done_.begin(), done_.end() - 1);
    if (const int error = enter_root()) return error;
    for (auto& name : names) {
      UniqueFd next(::openat(here_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
      if (!next) return errno == ENOTDIR ? -EAGAIN : -errno;
      here_ = std::move(next);
      done_.push_back(std::move(name));
    }
    return 0;
  }

  int step(const std::string& name, bool last) {
    if (name == "..") {
      const int error = climb();
      return error != 0 ? error : kGoOn;
    }
    const bool exclusive = last && (flags_ & O_CREAT) != 0 && (flags_ & O_EXCL) != 0;
    if (exclusive) return open_last(name);
    UniqueFd next(::openat(here_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) {
      if (errno == ENOENT && last && (flags_ & O_CREAT) != 0) return open_last(name);
      return -errno;
    }
    struct stat info {};
    if (::fstat(next.get(), &info) != 0) return -errno;
    if (S_ISLNK(info.st_mode)) return step_link(name, next, last);
    if (S_ISDIR(info.st_mode)) {
      here_ = std::move(next);
      done_.push_back(name);
      return kGoOn;
    }
    return last ? open_last(name) : -ENOTDIR;
  }

  int step_link(const std::string& name, const UniqueFd& link, bool last) {
    if (last && (flags_ & O_NOFOLLOW) != 0) return open_last(name);
    if (scope_ == Scope::beneath || ++links_ > kMaxLinks) return -ELOOP;
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(link.get(), "", target, sizeof target);
    if (length < 0) return -errno;
    const std::string_view text(target, static_cast<std::size_t>(length));
    if (text.empty()) return -ENOENT;
    if (text.front() == '/')
      if (const int error = enter_root()) return error;
    const int error = push_names(text);
    return error != 0 ? error : kGoOn;
  }

  // The name was no link a moment ago; when it is one now, O_NOFOLLOW refuses it.
  int open_last(const std::string& name) {
    const int fd = ::openat(here_.get(), name.c_str(), flags_ | O_NOFOLLOW | O_CLOEXEC, mode_);
    if (fd >= 0) return fd;
    return errno == ELOOP && (flags_ & O_NOFOLLOW) == 0 ? -EAGAIN : -errno;
  }

  int open_here() {
    const int fd = ::openat(here_.get(), ".", flags_ & ~O_NOFOLLOW, mode_);
    return fd >= 0 ? fd : -errno;
  }

  const int root_;
  const Scope scope_;
  const int flags_;
  const mode_t mode_;
  UniqueFd here_;
  std::vector<std::string> done_;
  std::deque<std::string> todo_;
  int links_ = 0;
};

int call_walk(int directory, const std::string& path, int flags, mode_t mode, Scope scope) {
  for (int tries = 0;; ++tries) {
    const int fd = Walk(directory, scope, flags, mode).run(path);
    if (fd != -EAGAIN || tries >= kMaxTries) return fd;
  }
}

}  // namespace

UniqueFd open_below(int directory, const std::string& path, int flags, mode_t mode, Scope scope, Resolver resolver) {
  if (path.find('\0') != std::string::npos)
    fail(ErrorKind::invalid_argument, "open {}: the name holds a NUL byte", printable(path));
  std::string name = path;
  while (name.size() > 1 && name.back() == '/') {
    name.pop_back();
    if ((flags & O_CREAT) == 0) flags |= O_DIRECTORY;
  }
  if (name.empty()) name.push_back('.');
  flags |= O_CLOEXEC;
  if ((flags & O_PATH) == 0 && (flags & O_ACCMODE) == O_RDONLY) flags |= O_NONBLOCK;
  const bool kernel = resolver == Resolver::openat2 || (resolver == Resolver::automatic && have_openat2());
  const int fd = kernel ? call_openat2(directory, name.c_str(), flags, mode, scope)
                        : call_walk(directory, name, flags, mode, scope);
  if (fd >= 0) return UniqueFd(fd);
  throw Error::from_errno(-fd, fmt::format("open {}", printable(name)));
}

}  // namespace bryo::kernel

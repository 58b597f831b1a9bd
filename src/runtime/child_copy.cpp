// "tmpcopyup": a tmpfs begins with what the directory holds that it will lie over. Source and copy are descriptors; no
// link is followed and no other mount entered, so whatever the image holds, nothing but its own files is read.
#include <dirent.h>
#include <sys/sendfile.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

// Every level holds two descriptors and its buffer on the stack.
constexpr int kDeepest = 128;
constexpr std::uint64_t kHere = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
constexpr std::size_t kPiece = std::size_t{1} << 20;

// As getdents64(2) gives them.
struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t size;
  std::uint8_t type;
  char name[1];
};

bool is_dots(const char* name) noexcept {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

class TreeCopy {
 public:
  TreeCopy(ChildContext& context, const char* target) noexcept : context_(context), target_(target) {}

  void directory(int from, int to, int depth) noexcept {
    if (depth > kDeepest) failed(ELOOP, "(too deep)");
    alignas(Entry) char block[4096];
    for (;;) {
      const int size = check(static_cast<int>(raw::call(SYS_getdents64, from, block, sizeof block)), "its entries");
      if (size == 0) return;
      for (int at = 0; at < size;) {
        const auto* entry = reinterpret_cast<const Entry*>(block + at);
        at += entry->size;
        if (!is_dots(entry->name)) copy(from, to, entry->name, depth);
      }
    }
  }

  // Owner before mode: a change of owner takes set-user-id away. An owner that the map lacks stays root's.
  void take_properties(int fd, const struct stat& info, const char* name) noexcept {
    const long owned = raw::call(SYS_fchown, fd, info.st_uid, info.st_gid);
    if (owned < 0 && owned != -EINVAL && owned != -EPERM) failed(static_cast<int>(-owned), name);
    check(static_cast<int>(raw::call(SYS_fchmod, fd, info.st_mode & 07777U)), name);
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    raw::call(SYS_utimensat, fd, nullptr, times, 0);
  }

 private:
  [[noreturn]] void failed(int error, const char* name) const noexcept {
    context_.link.fail(error, {"copy what is in ", target_, " into its tmpfs: ", name});
  }
  int check(int result, const char* name) const noexcept {
    if (result < 0) failed(-result, name);
    return result;
  }

  void copy(int from, int to, const char* name, int depth) noexcept {
    const int fd = raw::open_below(from, name, O_PATH | O_NOFOLLOW, kHere);
    // A mount point: what is mounted there would be hidden by the tmpfs anyway.
    if (fd == -EXDEV || fd == -ENOENT) return;
    check(fd, name);
    struct stat info = {};
    check(raw::fstat(fd, info), name);
    if (S_ISDIR(info.st_mode))
      subdirectory(from, to, name, depth);
    else if (S_ISREG(info.st_mode))
      file(from, to, name);
    else if (S_ISLNK(info.st_mode))
      link(fd, to, name, info);
    else if (!S_ISSOCK(info.st_mode))
      node(to, name, info);
    raw::close(fd);
  }

  void subdirectory(int from, int to, const char* name, int depth) noexcept {
    check(static_cast<int>(raw::call(SYS_mkdirat, to, name, 0700)), name);
    const int source = check(raw::open_below(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kHere), name);
    const int made = check(raw::open_below(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kHere), name);
    directory(source, made, depth + 1);
    struct stat info = {};
    check(raw::fstat(source, info), name);
    take_properties(made, info, name);
    raw::close(source);
    raw::close(made);
  }

  void file(int from, int to, const char* name) noexcept {
    const int source = check(raw::open_below(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, kHere), name);
    struct stat info = {};
    check(raw::fstat(source, info), name);
    // Somebody put another kind of file there since we looked.
    if (!S_ISREG(info.st_mode)) failed(EAGAIN, name);
    const int made = check(raw::open_below(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kHere, 0600), name);
    while (check(static_cast<int>(raw::call(SYS_sendfile, made, source, nullptr, kPiece)), name) > 0) {
    }
    take_properties(made, info, name);
    raw::close(source);
    raw::close(made);
  }

  void link(int fd, int to, const char* name, const struct stat& info) noexcept {
    char text[4096];
    const int size = check(static_cast<int>(raw::call(SYS_readlinkat, fd, "", text, sizeof text - 1)), name);
    text[size] = '\0';
    check(static_cast<int>(raw::call(SYS_symlinkat, text, to, name)), name);
    raw::call(SYS_fchownat, to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW);
  }

  void node(int to, const char* name, const struct stat& info) noexcept {
    const long made = raw::call(SYS_mknodat, to, name, info.st_mode, static_cast<unsigned>(info.st_rdev));
    if (made == -EPERM) {
      context_.link.warn(EPERM, {"copy device ", name, " into the tmpfs on ", target_});
      return;
    }
    check(static_cast<int>(made), name);
    raw::call(SYS_fchownat, to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW);
  }

  ChildContext& context_;
  const char* target_;
};

}  // namespace

void copy_up(ChildContext& context, int target, int mount, const char* path) noexcept {
  const int from = context.link.check(raw::open_below(target, ".", O_RDONLY | O_DIRECTORY, kHere), {"read ", path});
  const int to =
      context.link.check(raw::open_below(mount, ".", O_RDONLY | O_DIRECTORY, kHere), {"open the tmpfs of ", path});
  TreeCopy copy(context, path);
  copy.directory(from, to, 0);
  struct stat info = {};
  context.link.check(raw::fstat(from, info), {"stat ", path});
  copy.take_properties(to, info, path);
  raw::close(from);
  raw::close(to);
}

}  // namespace bryo::runtime::child

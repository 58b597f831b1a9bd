#include "kernel/paths.hpp"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::kernel {
namespace {

bool is_missing(const Error& error) { return error.number() == ENOENT || error.number() == ENOTDIR; }

// "a/b//" → "a", "b"; the last one may be "", "." or "..".
std::pair<std::string, std::string> split_last(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {std::string(), std::string(path)};
  return {std::string(path.substr(0, slash + 1)), std::string(path.substr(slash + 1))};
}

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

RootDirectory::RootDirectory(UniqueFd directory, Scope scope) : directory_(std::move(directory)), scope_(scope) {
  if (!S_ISDIR(stat_fd(directory_.get()).st_mode)) fail(ErrorKind::invalid_argument, "open tree: not a directory");
}

RootDirectory RootDirectory::open(const std::string& path, Scope scope) {
  return RootDirectory(open_trusted(path, O_PATH | O_DIRECTORY), scope);
}

RootDirectory RootDirectory::duplicate() const {
  const int fd = ::fcntl(directory_.get(), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) fail_errno("dup tree");
  return RootDirectory(UniqueFd(fd), scope_);
}

RootDirectory RootDirectory::descend(std::string_view path) const {
  return RootDirectory(resolve(path, O_PATH | O_DIRECTORY), scope_);
}

UniqueFd RootDirectory::open_within(std::string_view path, int flags, mode_t mode) const {
  return open_below(directory_.get(), std::string(path), flags, mode, scope_);
}

UniqueFd RootDirectory::resolve(std::string_view path, int flags, mode_t mode) const {
  return open_within(path, flags, mode);
}

std::optional<UniqueFd> RootDirectory::try_resolve(std::string_view path, int flags, mode_t mode) const {
  try {
    return open_within(path, flags, mode);
  } catch (const Error& error) {
    if (is_missing(error)) return std::nullopt;
    throw;
  }
}

RootDirectory::Parent RootDirectory::resolve_parent(std::string_view path) const {
  Parent parent;
  while (!path.empty() && path.back() == '/') {
    path.remove_suffix(1);
    parent.must_be_directory = true;
  }
  auto [directory, name] = split_last(path);
  if (name.empty() || name == "." || name == "..") {
    parent.directory = open_within(path.empty() ? "." : path, O_PATH | O_DIRECTORY, 0);
    parent.name = ".";
    parent.must_be_directory = true;
    return parent;
  }
  parent.directory = open_within(directory.empty() ? "." : directory, O_PATH | O_DIRECTORY, 0);
  parent.name = std::move(name);
  if (!is_plain_name(parent.name))
    fail(ErrorKind::invalid_argument, "open {}: not a file name", printable(parent.name));
  return parent;
}

UniqueFd RootDirectory::make_directories(std::string_view path, mode_t mode, std::optional<Owner> owner) const {
  if (auto there = try_resolve(path, O_PATH | O_DIRECTORY)) return std::move(*there);
  UniqueFd here = open_within(".", O_PATH | O_DIRECTORY, 0);
  std::string prefix;
  for (const auto piece : split(path, '/')) {
    if (piece.empty() || piece == ".") continue;
    prefix += (prefix.empty() ? "" : "/") + std::string(piece);
    if (auto next = try_resolve(prefix, O_PATH | O_DIRECTORY)) {
      here = std::move(*next);
      continue;
    }
    const std::string name(piece);
    const bool made = try_make_directory(here.get(), name, 0700);
    // What we made, or what somebody made meanwhile, but no link: a dangling one is refused here.
    here = open_below(here.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, Scope::beneath);
    if (!made) continue;
    if (owner) change_owner(here.get(), owner->uid, owner->gid);
    change_mode(here.get(), mode);
  }
  return here;
}

std::string RootDirectory::name_of(int fd) const {
  const std::string root = read_link(AT_FDCWD, fmt::format("/proc/self/fd/{}", directory_.get()));
  std::string name = read_link(AT_FDCWD, fmt::format("/proc/self/fd/{}", fd));
  if (root != "/" && name.starts_with(root)) name.erase(0, root.size());
  return name.starts_with('/') ? name : "/" + name;
}

}  // namespace bryo::kernel

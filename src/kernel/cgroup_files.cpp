#include "kernel/cgroup_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {

std::optional<CgroupDirectory> CgroupDirectory::open(const std::string& path) {
  UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory) return CgroupDirectory(path, std::move(directory));
  if (errno == ENOENT) return std::nullopt;
  fail_errno("open cgroup {}", path);
}

CgroupDirectory CgroupDirectory::require(const std::string& path) {
  auto found = open(path);
  if (!found) fail(ErrorKind::not_found, "cgroup {} does not exist", path);
  return std::move(*found);
}

bool CgroupDirectory::has(const char* file) const { return ::faccessat(directory_.get(), file, F_OK, 0) == 0; }

std::optional<std::string> CgroupDirectory::read(const char* file) const {
  const UniqueFd fd(::openat(directory_.get(), file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return std::nullopt;
  std::string text;
  char block[4096];
  while (true) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(block, static_cast<std::size_t>(got));
  }
}

std::optional<std::uint64_t> CgroupDirectory::read_number(const char* file) const {
  const auto text = read(file);
  return text ? parse_integer<std::uint64_t>(trim(*text)) : std::nullopt;
}

int CgroupDirectory::try_write(const char* file, std::string_view value) const {
  const UniqueFd fd = try_open_for_writing(file);
  return fd ? write_value(fd.get(), value) : errno;
}

void CgroupDirectory::write(const char* file, std::string_view value) const {
  if (const int number = try_write(file, value); number != 0)
    throw Error::from_errno(number, fmt::format("write \"{}\" to {}/{}", printable(value), path_, file));
}

UniqueFd CgroupDirectory::open_for_writing(const char* file) const {
  UniqueFd fd = try_open_for_writing(file);
  if (!fd) fail_errno("open {}/{} for writing", path_, file);
  return fd;
}

UniqueFd CgroupDirectory::try_open_for_writing(const char* file) const {
  return UniqueFd(::openat(directory_.get(), file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
}

void CgroupDirectory::for_each_child(const std::function<void(const char*)>& visit) const {
  UniqueFd listing(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!listing) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(listing.get()), ::closedir);
  if (!stream) return;
  static_cast<void>(listing.release());  // closedir() closes it
  while (const dirent* entry = ::readdir(stream.get()))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') visit(entry->d_name);
}

void for_each_key(std::string_view text, const std::function<void(std::string_view, std::uint64_t)>& visit) {
  for (const auto line : split(text, '\n')) {
    const auto pair = split_once(line, ' ');
    if (!pair) continue;
    if (const auto value = parse_integer<std::uint64_t>(trim(pair->second))) visit(pair->first, *value);
  }
}

std::uint64_t find_key(std::string_view text, std::string_view key) {
  std::uint64_t found = 0;
  for_each_key(text, [&](std::string_view name, std::uint64_t value) {
    if (name == key) found = value;
  });
  return found;
}

int write_value(int fd, std::string_view value) {
  ssize_t put = 0;
  do {
    put = ::write(fd, value.data(), value.size());
  } while (put < 0 && errno == EINTR);
  return put < 0 ? errno : 0;
}

MadeDirectory make_cgroup_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return MadeDirectory::made;
  if (errno == EEXIST) return MadeDirectory::there_already;
  if (errno == ENOENT) return MadeDirectory::no_parent;
  fail_errno("create cgroup {}", path);
}

int remove_cgroup_tree(const std::string& path) noexcept try {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return 0;
  // EBUSY: processes, or children.
  int first = errno;
  const auto directory = CgroupDirectory::open(path);
  if (!directory) return 0;
  bool any = false;
  directory->for_each_child([&](const char* name) {
    any = true;
    remove_cgroup_tree(path + "/" + name);
  });
  if (!any) return first;
  return ::rmdir(path.c_str()) == 0 || errno == ENOENT ? 0 : errno;
} catch (...) {
  return EIO;
}

}  // namespace bryo::kernel

#include "cli/files/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace bryo::cli {
namespace {

void write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t sent = ::write(fd, text.data(), text.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) fail_errno("write {}", path);
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

std::optional<std::string> read_whole_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!fd) fail_errno("open {}", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail_errno("stat {}", path);
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::conflict, "{} is no regular file", path);
  std::string out;
  out.reserve(static_cast<std::size_t>(info.st_size));
  std::array<char, 65536> block;
  while (true) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read {}", path);
    if (got == 0) return out;
    out.append(block.data(), static_cast<std::size_t>(got));
  }
}

bool is_there(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::vector<std::string> make_directories(const std::string& path, mode_t mode) {
  std::vector<std::string> made;
  if (path == "/" || path.empty()) return made;
  if (::mkdir(path.c_str(), mode) == 0) return {path};
  if (errno == EEXIST) return made;
  if (errno != ENOENT) fail_errno("make the directory {}", path);
  made = make_directories(parent_of(path), mode);
  if (::mkdir(path.c_str(), mode) == 0)
    made.push_back(path);
  else if (errno != EEXIST)
    fail_errno("make the directory {}", path);
  return made;
}

void write_whole_file(const std::string& path, std::string_view text, mode_t mode) {
  std::string name = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) fail_errno("make a file in {}", parent_of(path));
  try {
    write_all(fd.get(), text, name);
    if (::fchmod(fd.get(), mode) != 0) fail_errno("change the mode of {}", name);
    if (::fsync(fd.get()) != 0) fail_errno("write {}", name);
    if (::rename(name.c_str(), path.c_str()) != 0) fail_errno("rename {} to {}", name, path);
  } catch (const Error&) {
    ::unlink(name.c_str());
    throw;
  }
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_errno("remove {}", path);
}

bool remove_empty_directory(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
  if (errno == ENOTEMPTY || errno == EEXIST) return false;
  fail_errno("remove the directory {}", path);
}

}  // namespace bryo::cli

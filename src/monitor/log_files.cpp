#include "monitor/log_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "kernel/files.hpp"

namespace bryo::monitor {
namespace {

constexpr int kMaxRotated = 1000;
constexpr std::size_t kBlock = 64 * 1024;

std::vector<UniqueFd> open_once(const std::string& path) {
  std::vector<UniqueFd> files;
  files.push_back(open_log_file(path));
  if (!files.front()) fail(ErrorKind::not_found, "there is no log {}", path);
  for (int number = 1; number < kMaxRotated; ++number) {
    UniqueFd file = open_log_file(path + "." + std::to_string(number));
    if (!file) break;
    files.push_back(std::move(file));
  }
  std::reverse(files.begin(), files.end());
  return files;
}

}  // namespace

off_t file_size(int file) { return kernel::stat_fd(file).st_size; }

UniqueFd open_log_file(const std::string& path) {
  UniqueFd file;
  try {
    file = kernel::open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  } catch (const Error& error) {
    if (error.number() == ENOENT) return {};
    if (error.number() == ELOOP) fail(ErrorKind::permission, "log {} is a symbolic link", path);
    throw;
  }
  if (!S_ISREG(kernel::stat_fd(file.get()).st_mode)) fail(ErrorKind::permission, "log {} is not a regular file", path);
  return file;
}

bool is_same_file(int a, int b) {
  const struct stat x = kernel::stat_fd(a);
  const struct stat y = kernel::stat_fd(b);
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

std::vector<UniqueFd> open_log_files(const std::string& path) {
  for (int attempt = 0;; ++attempt) {
    auto files = open_once(path);
    // A rotation while we opened one after the other would show a file twice or not at all.
    const UniqueFd again = open_log_file(path);
    if (attempt == 10 || (again && is_same_file(again.get(), files.back().get()))) return files;
  }
}

LogPosition find_tail(const std::vector<UniqueFd>& files, std::uint64_t lines) {
  if (lines == 0) return {files.size() - 1, file_size(files.back().get())};
  std::string block(kBlock, '\0');
  std::uint64_t ends = 0;
  for (std::size_t index = files.size(); index-- > 0;) {
    const int file = files[index].get();
    off_t end = file_size(file);
    while (end > 0) {
      const auto count = static_cast<std::size_t>(std::min<off_t>(end, kBlock));
      const off_t start = end - static_cast<off_t>(count);
      if (::pread(file, block.data(), count, start) != static_cast<ssize_t>(count)) break;  // truncated under us
      for (std::size_t at = count; at-- > 0;)
        // The end of the line before the first one that is wanted.
        if (block[at] == '\n' && ends++ == lines) return {index, start + static_cast<off_t>(at) + 1};
      end = start;
    }
  }
  return {0, 0};
}

}  // namespace bryo::monitor

#include "monitor/log_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>

#include "base/error.hpp"
#include "kernel/files.hpp"

namespace bryo::monitor {
namespace {

constexpr int kMaxRotated = 1000;
constexpr std::size_t kBlock = 64 * 1024;
constexpr int kMaxAttempts = 1000;

// 0 is the live file.
std::string name_of(const std::string& path, int number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

bool is_at(const std::string& path, int number, int file) {
  const auto named = kernel::try_stat_at(AT_FDCWD, name_of(path, number));
  const struct stat open = kernel::stat_fd(file);
  return named && named->st_dev == open.st_dev && named->st_ino == open.st_ino;
}

// Upwards, as the files move: one that is there is never passed by.
std::optional<int> number_of(const std::string& path, int file) {
  for (int number = 0; number < kMaxRotated; ++number)
    if (is_at(path, number, file)) return number;
  return std::nullopt;
}

bool exists(const std::string& path, int number) {
  return kernel::try_stat_at(AT_FDCWD, name_of(path, number)).has_value();
}

// A rotation moves the oldest first, so for a moment one name in the middle is nobody's: where files lie behind it (or
// it has come back meanwhile), a missing name is no end.
bool is_end(const std::string& path, int number) { return !exists(path, number) && !exists(path, number + 1); }

UniqueFd oldest_log_file(const std::string& path) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    int number = 0;
    while (number + 1 < kMaxRotated && exists(path, number + 1)) ++number;
    UniqueFd file = open_log_file(name_of(path, number));
    if (file && is_end(path, number + 1)) return file;
    std::this_thread::yield();
  }
  return open_log_file(path);
}

// The next file that has a name, over the hole that a rotation left when it was cut short for ever.
UniqueFd over_the_hole(const std::string& path, int file, int step) {
  const auto number = number_of(path, file);
  for (int next = number.value_or(0) + step; number && next >= 0 && std::abs(next - *number) < 4; next += step)
    if (UniqueFd found = open_log_file(name_of(path, next)); found && !is_same_file(found.get(), file)) return found;
  return {};
}

// The file `step` names away from `file`, which has the same name before and after: so they were neighbours.
UniqueFd neighbour(const std::string& path, int file, int step) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto number = number_of(path, file);
    if (!number) return step < 0 ? oldest_log_file(path) : UniqueFd();
    const int next = *number + step;
    if (next < 0) return {};
    UniqueFd found = open_log_file(name_of(path, next));
    const bool hole = !found && (step < 0 || !is_end(path, next));
    // The live file on its way to becoming the first rotated one has both names.
    const bool itself = found && is_same_file(found.get(), file);
    if (!hole && !itself && is_at(path, *number, file)) return found;
    std::this_thread::yield();
  }
  return over_the_hole(path, file, step);
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

UniqueFd older_log_file(const std::string& path, int file) { return neighbour(path, file, 1); }
UniqueFd newer_log_file(const std::string& path, int file) { return neighbour(path, file, -1); }

std::vector<UniqueFd> open_log_files(const std::string& path) {
  std::vector<UniqueFd> files;
  files.push_back(open_log_file(path));
  if (!files.front()) fail(ErrorKind::not_found, "there is no log {}", path);
  while (UniqueFd older = older_log_file(path, files.back().get())) files.push_back(std::move(older));
  std::reverse(files.begin(), files.end());
  return files;
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

#include "monitor/log_writer.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "kernel/files.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kMaxAttributes = 64 * 1024;
constexpr std::size_t kPage = 4096;
// Room for the longest line behind what is usually written at once. One writer a process; untouched pages cost nothing.
constexpr std::size_t kFlushAt = 96 * 1024;
alignas(kPage) char buffer[kFlushAt + max_log_line(kMaxLine, kMaxAttributes)];

constexpr std::string_view name_of(int stream) { return stream == 1 ? "stdout" : "stderr"; }

std::string rotated(const std::string& name, int number) { return name + "." + std::to_string(number); }

}  // namespace

LogWriter::LogWriter(const LogConfig& config) : config_(config), rotate_at_(config.max_size) {
  if (!enabled()) return;
  const auto slash = config_.path.rfind('/');
  if (slash == std::string::npos || slash + 1 == config_.path.size() || config_.path.front() != '/')
    fail(ErrorKind::invalid_argument, "log path \"{}\" is not the absolute path of a file", config_.path);
  if (config_.attributes.size() > kMaxAttributes)
    fail(ErrorKind::invalid_argument, "log attributes take {} bytes; at most {} are allowed: name fewer labels",
         config_.attributes.size(), kMaxAttributes);
  name_ = config_.path.substr(slash + 1);
  directory_ = kernel::open_trusted(config_.path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
  open_file();
}

void LogWriter::open_file() {
  UniqueFd file = kernel::open_at(directory_.get(), name_, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0640);
  const struct stat state = kernel::stat_fd(file.get());
  if (!S_ISREG(state.st_mode)) fail(ErrorKind::permission, "log {} is not a regular file", config_.path);
  file_ = std::move(file);
  size_ = state.st_size;
}

void LogWriter::write(int stream, std::string_view bytes) {
  if (!enabled()) return;
  // One reading of the clock for the batch: all of it came with one read().
  const LogTime now = LogTime::now();
  Partial& partial = partials_[stream == 1 ? 0 : 1];
  while (!bytes.empty()) bytes = take_line(stream, partial, bytes, now);
  flush();
}

// Formats the first line (or piece) of `bytes`, or keeps them for later; returns the rest.
std::string_view LogWriter::take_line(int stream, Partial& partial, std::string_view bytes, const LogTime& now) {
  const std::size_t room = kMaxLine - partial.text.size();
  const auto end = bytes.substr(0, room).find('\n');
  const bool newline = end != std::string_view::npos;
  std::size_t taken = newline ? end : std::min(room, bytes.size());
  const LogTime& time = partial.cut ? partial.time : now;
  if (newline && partial.text.empty()) {
    add_piece(stream, bytes.substr(0, taken), true, time);
    partial.cut = false;
    return bytes.substr(taken + 1);
  }
  partial.text.append(bytes.substr(0, taken));
  if (newline) {
    add_piece(stream, partial.text, true, time);
    partial = {};
    return bytes.substr(taken + 1);
  }
  bytes.remove_prefix(taken);
  if (!partial.cut) partial.time = now;
  if (partial.text.size() < kMaxLine || bytes.empty()) return bytes;
  // A character that goes on behind the limit moves to the next piece.
  partial.text.append(bytes.substr(0, 3));
  const std::size_t cut = cut_line(partial.text, kMaxLine);
  partial.text.resize(kMaxLine);
  add_piece(stream, std::string_view(partial.text).substr(0, cut), false, partial.time);
  partial.cut = true;
  partial.text.erase(0, cut);
  return bytes;
}

void LogWriter::finish(int stream) {
  if (!enabled()) return;
  Partial& partial = partials_[stream == 1 ? 0 : 1];
  if (!partial.text.empty()) add_piece(stream, partial.text, false, partial.cut ? partial.time : LogTime::now());
  partial = {};
  flush();
}

void LogWriter::add_piece(int stream, std::string_view text, bool newline, const LogTime& time) {
  if (config_.max_size > 0 && size_ + static_cast<std::int64_t>(used_) >= rotate_at_) {
    flush();
    rotate();
  }
  used_ = static_cast<std::size_t>(
      format_log_line(buffer + used_, text, newline, name_of(stream), config_.attributes, time) - buffer);
  ++lines_;
  if (used_ >= kFlushAt) flush();
}

void LogWriter::flush() {
  std::size_t written = 0;
  while (written < used_ && file_) {
    const ssize_t put = ::write(file_.get(), buffer + written, used_ - written);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;
    written += static_cast<std::size_t>(put);
  }
  if (written < used_)
    drop_torn_line(written);
  else
    size_ += static_cast<std::int64_t>(written);
  used_ = 0;
  lines_ = 0;
}

// The disk is full, or worse: whole lines stay, the piece of a line behind them goes.
void LogWriter::drop_torn_line(std::size_t written) {
  const std::string_view good(buffer, written);
  const auto end = good.rfind('\n');
  const std::size_t whole = end == std::string_view::npos ? 0 : end + 1;
  dropped_ += lines_ - static_cast<std::uint32_t>(std::count(good.begin(), good.end(), '\n'));
  size_ += static_cast<std::int64_t>(whole);
  if (file_ && whole != written && ::ftruncate(file_.get(), size_) < 0)
    size_ += static_cast<std::int64_t>(written - whole);
}

// Every file has a name at every moment and the live name is never missing, so that readers can follow: the new file is
// made first, the live one gets its second name before the new one takes its place.
void LogWriter::rotate() try {
  const std::string next = name_ + ".new";
  UniqueFd file = kernel::open_at(directory_.get(), next, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC, 0640);
  if (config_.max_files > 1) keep_live_file();
  kernel::rename_at(directory_.get(), next, directory_.get(), name_);
  file_ = std::move(file);
  size_ = 0;
  rotate_at_ = config_.max_size;
} catch (const Error&) {
  // No room, or somebody tampers with the directory. The old file goes on: better too large than a hole. The next try
  // comes when as much again is written.
  rotate_at_ = size_ + config_.max_size;
}

void LogWriter::keep_live_file() {
  const auto look = [this](const std::string& name) { return kernel::try_stat_at(directory_.get(), name); };
  const std::string first = rotated(name_, 1);
  const auto live = look(name_);
  const auto kept = look(first);
  // A rotation that was cut short has done its part already.
  if (!live || (kept && kept->st_ino == live->st_ino)) return;
  for (int number = config_.max_files - 1; kept && number > 1; --number) {
    const std::string from = rotated(name_, number - 1);
    if (look(from)) kernel::rename_at(directory_.get(), from, directory_.get(), rotated(name_, number));
  }
  if (look(first)) kernel::unlink_at(directory_.get(), first);
  try {
    kernel::link_at(directory_.get(), name_, directory_.get(), first);
  } catch (const Error&) {
    kernel::rename_at(directory_.get(), name_, directory_.get(), first);  // a file system without hard links
  }
}

void LogWriter::reopen() {
  if (!enabled()) return;
  try {
    open_file();
  } catch (const Error&) {
    // The old file goes on: better a file that is too large than a log with a hole.
    size_ = file_ ? kernel::stat_fd(file_.get()).st_size : 0;
  }
}

void LogWriter::release_memory() { ::madvise(buffer, sizeof buffer / kPage * kPage, MADV_DONTNEED); }

}  // namespace bryo::monitor

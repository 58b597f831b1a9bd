#include "monitor/log_reader.hpp"

#include <unistd.h>

#include "base/error.hpp"
#include "monitor/log_reader_state.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kBlock = 64 * 1024;
constexpr std::size_t kBatch = 32 * 1024;
// Longer than any line that a log has (16 KiB escaped, attributes): what is longer is no log.
constexpr std::size_t kMaxFileLine = 1024 * 1024;

}  // namespace

LogReader::State::State(std::string path, const LogQuery& query)
    : path_(std::move(path)), query_(query), files_(open_log_files(path_)) {
  if (!query_.tail) return;
  const LogPosition start = find_tail(files_, *query_.tail);
  current_ = start.file;
  offset_ = start.offset;
}

bool LogReader::State::next(std::string& frames) {
  frames.clear();
  while (frames.size() < kBatch && !past_until_) {
    if (take_lines(frames)) continue;
    if (!read_block() && !next_file()) break;
  }
  return !frames.empty();
}

// Lines that are in the buffer; false when none is whole.
bool LogReader::State::take_lines(std::string& frames) {
  bool any = false;
  while (frames.size() < kBatch && !past_until_) {
    const auto end = buffer_.find('\n', used_);
    if (end == std::string::npos) break;
    add_line(frames, std::string_view(buffer_).substr(used_, end - used_));
    used_ = end + 1;
    any = true;
  }
  if (!any) {
    buffer_.erase(0, used_);
    used_ = 0;
    if (buffer_.size() > kMaxFileLine) {
      buffer_.clear();
      ++malformed_;
    }
  }
  return any;
}

void LogReader::State::add_line(std::string& frames, std::string_view text) {
  const auto line = parse_log_line(text);
  // Most readers want neither a period nor time stamps.
  const bool timed = query_.since || query_.until || query_.timestamps;
  const std::optional<WallTime> time = line && timed ? parse_rfc3339(line->time) : WallTime();
  if (!line || !time) {
    ++malformed_;
    return;
  }
  if (query_.since && *time < *query_.since) return;
  if (query_.until && *time > *query_.until) {
    past_until_ = true;
    return;
  }
  if (line->stream == 1 ? !query_.stdout_stream : !query_.stderr_stream) return;
  append_frame(frames, *line, *time, {query_.timestamps, query_.details, query_.raw});
}

bool LogReader::State::read_block() {
  const std::size_t have = buffer_.size();
  buffer_.resize(have + kBlock);
  const ssize_t got = ::pread(files_[current_].get(), buffer_.data() + have, kBlock, offset_);
  buffer_.resize(have + static_cast<std::size_t>(got > 0 ? got : 0));
  if (got > 0) offset_ += got;
  // Somebody cut the file: what is written now begins at its front.
  if (got == 0 && offset_ > file_size(files_[current_].get())) offset_ = 0;
  return got > 0;
}

bool LogReader::State::next_file() {
  if (current_ + 1 >= files_.size()) return false;
  files_[current_].reset();
  ++current_;
  offset_ = 0;
  // A line without an end was cut by a crash: the next file begins a new one.
  buffer_.clear();
  used_ = 0;
  return true;
}

void LogReader::State::rest() {
  buffer_.erase(0, used_);
  used_ = 0;
  buffer_.shrink_to_fit();
}

bool LogReader::State::follow_rotation() {
  UniqueFd newer = newer_log_file(path_, files_[current_].get());
  if (!newer) return false;
  files_.push_back(std::move(newer));
  return true;
}

LogReader::LogReader(const std::string& path, const LogQuery& query) : state_(std::make_unique<State>(path, query)) {}
LogReader::~LogReader() = default;
LogReader::LogReader(LogReader&&) noexcept = default;
LogReader& LogReader::operator=(LogReader&&) noexcept = default;

bool LogReader::next(std::string& frames) { return state_->next(frames); }
std::uint64_t LogReader::malformed() const { return state_->malformed(); }

}  // namespace bryo::monitor

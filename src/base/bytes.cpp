#include "base/bytes.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace bryo {

std::size_t MemorySource::read(std::span<std::byte> into) {
  const std::size_t count = std::min(into.size(), rest_.size());
  std::copy_n(rest_.begin(), count, into.begin());
  rest_ = rest_.subspan(count);
  return count;
}

std::size_t FdSource::read(std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = ::read(fd_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) fail_errno("read stream");
  }
}

void FdSink::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_errno("write stream");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void StringSink::write(std::span<const std::byte> bytes) {
  if (bytes.size() > limit_ - text_.size()) fail(ErrorKind::exhausted, "text is longer than {} bytes", limit_);
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::size_t TeeSource::read(std::span<std::byte> into) {
  const std::size_t got = source_.read(into);
  if (got > 0) sink_.write(into.first(got));
  return got;
}

void BytePipe::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queued_ < capacity_ || state_ != State::open; });
  if (state_ != State::open) bryo::fail(ErrorKind::cancelled, "write stream: its reader has stopped");
  chunks_.emplace_back(bytes.begin(), bytes.end());
  queued_ += bytes.size();
  changed_.notify_all();
}

std::size_t BytePipe::read(std::span<std::byte> into) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queued_ > 0 || state_ != State::open; });
  if (state_ == State::broken) std::rethrow_exception(reason_);
  std::size_t done = 0;
  while (done < into.size() && !chunks_.empty()) {
    const auto& front = chunks_.front();
    const std::size_t count = std::min(into.size() - done, front.size() - consumed_of_front_);
    std::memcpy(into.data() + done, front.data() + consumed_of_front_, count);
    done += count;
    consumed_of_front_ += count;
    if (consumed_of_front_ == front.size()) {
      chunks_.pop_front();
      consumed_of_front_ = 0;
    }
  }
  queued_ -= done;
  changed_.notify_all();
  return done;
}

void BytePipe::close() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::open) state_ = State::closed;
  changed_.notify_all();
}

void BytePipe::fail(std::exception_ptr reason) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::open) {
    state_ = State::broken;
    reason_ = std::move(reason);
  }
  changed_.notify_all();
}

void BytePipe::abandon() {
  const std::lock_guard lock(mutex_);
  state_ = State::abandoned;
  chunks_.clear();
  queued_ = 0;
  changed_.notify_all();
}

std::uint64_t copy_all(ByteSource& source, ByteSink& sink, std::size_t buffer_size) {
  std::vector<std::byte> buffer(buffer_size);
  std::uint64_t total = 0;
  while (const std::size_t got = source.read(buffer)) {
    sink.write(std::span(buffer).first(got));
    total += got;
  }
  return total;
}

std::size_t read_full(ByteSource& source, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const std::size_t got = source.read(into.subspan(done));
    if (got == 0) break;
    done += got;
  }
  return done;
}

std::string read_all(ByteSource& source, std::size_t limit) {
  StringSink sink(limit);
  copy_all(source, sink, std::min<std::size_t>(limit + 1, 64U << 10));
  return sink.take();
}

}  // namespace bryo

// Streams of bytes between modules: where do the bytes come from, where do they go?
//
// A ByteSource is pulled, a ByteSink is pushed; BytePipe joins a pusher in one thread with a puller in another and is
// the only type here that two threads may use at once. Failures are Errors thrown by read() or write(). Nothing is
// unbounded: who calls chooses the size of the buffer.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At least one byte and at most into.size(); 0 at the end, and again at every later call.
  virtual std::size_t read(std::span<std::byte> into) = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Takes all of it before it returns.
  virtual void write(std::span<const std::byte> bytes) = 0;
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
};

// Views bytes that must outlive it.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : rest_(bytes) {}
  explicit MemorySource(std::string_view text) : rest_(std::as_bytes(std::span(text))) {}
  std::size_t read(std::span<std::byte> into) override;

 private:
  std::span<const std::byte> rest_;
};

// Reads a descriptor to its end with read(2); EINTR is retried.
class FdSource final : public ByteSource {
 public:
  explicit FdSource(UniqueFd fd) : owned_(std::move(fd)), fd_(owned_.get()) {}
  // Borrows.
  explicit FdSource(int fd) : fd_(fd) {}
  std::size_t read(std::span<std::byte> into) override;

 private:
  UniqueFd owned_;
  int fd_;
};

class FdSink final : public ByteSink {
 public:
  explicit FdSink(UniqueFd fd) : owned_(std::move(fd)), fd_(owned_.get()) {}
  explicit FdSink(int fd) : fd_(fd) {}
  using ByteSink::write;
  void write(std::span<const std::byte> bytes) override;

 private:
  UniqueFd owned_;
  int fd_;
};

// Collects at most `limit` bytes, then throws Error{exhausted}.
class StringSink final : public ByteSink {
 public:
  explicit StringSink(std::size_t limit = SIZE_MAX) : limit_(limit) {}
  using ByteSink::write;
  void write(std::span<const std::byte> bytes) override;
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  std::size_t limit_;
  std::string text_;
};

class TeeSink final : public ByteSink {
 public:
  TeeSink(ByteSink& first, ByteSink& second) : first_(first), second_(second) {}
  using ByteSink::write;
  void write(std::span<const std::byte> bytes) override {
    first_.write(bytes);
    second_.write(bytes);
  }

 private:
  ByteSink& first_;
  ByteSink& second_;
};

// What is read from `source` is also written to `sink`.
class TeeSource final : public ByteSource {
 public:
  TeeSource(ByteSource& source, ByteSink& sink) : source_(source), sink_(sink) {}
  std::size_t read(std::span<std::byte> into) override;

 private:
  ByteSource& source_;
  ByteSink& sink_;
};

// A bounded queue: one thread writes, another reads.
//
//   open ── close() ──▶ drained: read() gives what is left, then 0
//    │  └── fail(e) ──▶ broken:  read() throws e at once
//    └─── abandon() ──▶ closed by the reader: write() throws Error{cancelled}
class BytePipe final : public ByteSource, public ByteSink {
 public:
  explicit BytePipe(std::size_t capacity = 4U << 20) : capacity_(capacity) {}
  using ByteSink::write;
  // Blocks while the pipe is full.
  void write(std::span<const std::byte> bytes) override;
  // Blocks while it is empty and open.
  std::size_t read(std::span<std::byte> into) override;
  void close();
  void fail(std::exception_ptr reason);
  void abandon();

 private:
  enum class State { open, closed, broken, abandoned };
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Everything below is guarded by mutex_.
  State state_ = State::open;
  std::exception_ptr reason_;
  std::deque<std::vector<std::byte>> chunks_;
  std::size_t consumed_of_front_ = 0;
  std::size_t queued_ = 0;
};

// Everything from `source` to `sink`; returns the number of bytes.
std::uint64_t copy_all(ByteSource& source, ByteSink& sink, std::size_t buffer_size = 256U << 10);
// Fills `into`, or stops at the end: returns the bytes read.
std::size_t read_full(ByteSource& source, std::span<std::byte> into);
// Error{exhausted} when there is more than `limit`.
std::string read_all(ByteSource& source, std::size_t limit);

}  // namespace bryo

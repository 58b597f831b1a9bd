#include "storage/chunk_source.hpp"

namespace bryo::storage {

ReadAhead::ReadAhead(ByteSource& source) : source_(source) {
  thread_ = std::thread([this] { run(); });
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::span<const std::byte> ReadAhead::next() {
  std::unique_lock lock(mutex_);
  holding_ = false;
  changed_.notify_all();
  changed_.wait(lock, [&] { return taken_ < filled_ || ended_; });
  if (taken_ == filled_) {
    if (failure_) std::rethrow_exception(failure_);
    return {};
  }
  const Buffer& buffer = buffers_[taken_++ % kBuffers];
  holding_ = true;
  return std::span(buffer.bytes).first(buffer.size);
}

void ReadAhead::run() {
  std::unique_lock lock(mutex_);
  while (!stop_ && !ended_) {
    if (filled_ - taken_ + (holding_ ? 1 : 0) >= kBuffers) {
      changed_.wait(lock);
      continue;
    }
    Buffer& buffer = buffers_[filled_ % kBuffers];
    lock.unlock();
    std::exception_ptr failure;
    try {
      if (buffer.bytes.empty()) buffer.bytes.resize(kChunkSize);
      buffer.size = read_full(source_, buffer.bytes);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    ended_ = failure || buffer.size < kChunkSize;
    if (!failure && buffer.size > 0) ++filled_;
    changed_.notify_all();
  }
}

}  // namespace bryo::storage

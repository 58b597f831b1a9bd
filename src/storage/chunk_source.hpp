// Bytes in large pieces without copying: what a tar reader parses in place.
//
// ReadAhead is the pipeline of an unpacking: a thread of its own decodes, hashes and fills buffers while the caller
// parses and writes files from the ones before.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/bytes.hpp"

namespace bryo::storage {

class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  // The next piece, valid until the next call: a multiple of 512 bytes except the last one; empty at the end.
  virtual std::span<const std::byte> next() = 0;
};

inline constexpr std::size_t kChunkSize = 1U << 20;

// In the caller's own thread.
class DirectChunks final : public ChunkSource {
 public:
  explicit DirectChunks(ByteSource& source, std::size_t size = kChunkSize) : source_(source), buffer_(size) {}
  std::span<const std::byte> next() override { return std::span(buffer_).first(read_full(source_, buffer_)); }

 private:
  ByteSource& source_;
  std::vector<std::byte> buffer_;
};

// `source` is used by the new thread until the end of the stream or the destructor, which ends the thread after the
// read that is under way.
class ReadAhead final : public ChunkSource {
 public:
  explicit ReadAhead(ByteSource& source);
  ~ReadAhead() override;
  std::span<const std::byte> next() override;

 private:
  static constexpr std::size_t kBuffers = 4;
  struct Buffer {
    std::vector<std::byte> bytes;
    std::size_t size = 0;
  };
  void run();

  ByteSource& source_;
  std::array<Buffer, kBuffers> buffers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_: buffers [taken_, filled_) are ready; the one before taken_ is the caller's.
  std::size_t filled_ = 0;
  std::size_t taken_ = 0;
  bool holding_ = false;
  bool ended_ = false;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace bryo::storage

// The codecs behind compression.hpp, one file each. `source` and `sink` must outlive what is made here.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "storage/compression.hpp"

namespace bryo::storage {

// Size of what is asked of a source at once. Large: inflate speed drops with small pipes.
inline constexpr std::size_t kCodecBuffer = 256U << 10;

std::unique_ptr<ByteSource> make_gzip_decoder(ByteSource& source);
std::unique_ptr<ByteSource> make_zstd_decoder(ByteSource& source);
std::unique_ptr<ByteSource> make_bzip2_decoder(ByteSource& source);
std::unique_ptr<ByteSource> make_xz_decoder(ByteSource& source);
std::unique_ptr<Encoder> make_gzip_encoder(ByteSink& sink);
std::unique_ptr<Encoder> make_zstd_encoder(ByteSink& sink);

// Reads a source in pieces for a codec that consumes part of each.
class CodecInput {
 public:
  explicit CodecInput(ByteSource& source) : source_(source), buffer_(kCodecBuffer) {}
  // Reads more when all was consumed; false at the end.
  bool fill() {
    if (!rest_.empty()) return true;
    const std::size_t got = source_.read(buffer_);
    rest_ = std::span(buffer_).first(got);
    return got > 0;
  }
  std::span<const std::byte> rest() const { return rest_; }
  void consume(std::size_t count) { rest_ = rest_.subspan(count); }

 private:
  ByteSource& source_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> rest_;
};

}  // namespace bryo::storage

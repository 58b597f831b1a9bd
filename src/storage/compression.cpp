#include "storage/compression.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "storage/codecs.hpp"

namespace bryo::storage {
namespace {

constexpr std::size_t kHeadSize = 6;

bool starts_with(std::span<const std::byte> head, std::string_view magic) {
  return head.size() >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0;
}

// Gives the bytes that were read for detection again, then the rest.
class Prefixed final : public ByteSource {
 public:
  Prefixed(std::span<const std::byte> head, ByteSource& rest) : rest_(rest) {
    std::copy(head.begin(), head.end(), head_.begin());
    size_ = head.size();
  }
  std::size_t read(std::span<std::byte> into) override {
    if (at_ == size_) return rest_.read(into);
    const std::size_t count = std::min(into.size(), size_ - at_);
    std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(at_), count, into.begin());
    at_ += count;
    return count;
  }

 private:
  std::array<std::byte, kHeadSize> head_{};
  std::size_t size_ = 0;
  std::size_t at_ = 0;
  ByteSource& rest_;
};

class Plain final : public ByteSource {
 public:
  explicit Plain(ByteSource& source) : source_(source) {}
  std::size_t read(std::span<std::byte> into) override { return source_.read(into); }

 private:
  ByteSource& source_;
};

class Detecting final : public ByteSource {
 public:
  Detecting(std::span<const std::byte> head, ByteSource& source)
      : prefixed_(head, source), decoder_(make_decoder(prefixed_, detect_compression(head))) {}
  std::size_t read(std::span<std::byte> into) override { return decoder_->read(into); }

 private:
  Prefixed prefixed_;
  std::unique_ptr<ByteSource> decoder_;
};

class PlainEncoder final : public Encoder {
 public:
  explicit PlainEncoder(ByteSink& sink) : sink_(sink) {}
  void write(std::span<const std::byte> bytes) override { sink_.write(bytes); }
  void finish() override {}

 private:
  ByteSink& sink_;
};

}  // namespace

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::none:
      return "none";
    case Compression::gzip:
      return "gzip";
    case Compression::zstd:
      return "zstd";
    case Compression::bzip2:
      return "bzip2";
    case Compression::xz:
      return "xz";
  }
  return "unknown";
}

Compression detect_compression(std::span<const std::byte> head) {
  if (starts_with(head, "\x1f\x8b")) return Compression::gzip;
  if (starts_with(head, "\x28\xb5\x2f\xfd")) return Compression::zstd;
  // Skippable zstd frames: 0x184D2A50 … 0x184D2A5F, little-endian.
  if (head.size() >= 4 && (std::to_integer<unsigned>(head[0]) & 0xf0U) == 0x50 &&
      starts_with(head.subspan(1), "\x2a\x4d\x18"))
    return Compression::zstd;
  if (starts_with(head, "BZh")) return Compression::bzip2;
  if (starts_with(head, std::string_view("\xfd"
                                         "7zXZ\0",
                                         6)))
    return Compression::xz;
  return Compression::none;
}

std::unique_ptr<ByteSource> make_decoder(ByteSource& source) {
  std::array<std::byte, kHeadSize> head{};
  const std::size_t got = read_full(source, head);
  return std::make_unique<Detecting>(std::span(head).first(got), source);
}

std::unique_ptr<ByteSource> make_decoder(ByteSource& source, Compression compression) {
  switch (compression) {
    case Compression::none:
      return std::make_unique<Plain>(source);
    case Compression::gzip:
      return make_gzip_decoder(source);
    case Compression::zstd:
      return make_zstd_decoder(source);
    case Compression::bzip2:
      return make_bzip2_decoder(source);
    case Compression::xz:
      return make_xz_decoder(source);
  }
  fail(ErrorKind::unsupported, "unknown compression");
}

std::unique_ptr<Encoder> make_encoder(ByteSink& sink, Compression compression) {
  switch (compression) {
    case Compression::none:
      return std::make_unique<PlainEncoder>(sink);
    case Compression::gzip:
      return make_gzip_encoder(sink);
    case Compression::zstd:
      return make_zstd_encoder(sink);
    default:
      fail(ErrorKind::unsupported, "cannot write {} archives", to_string(compression));
  }
}

}  // namespace bryo::storage

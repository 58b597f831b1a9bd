// bzip2 and xz: only read, only for archives that people upload (docker cp, load, import).
#include <bzlib.h>
#include <lzma.h>

#include "base/error.hpp"
#include "storage/codecs.hpp"

namespace bryo::storage {
namespace {

constexpr std::uint64_t kMaxXzMemory = 320U << 20;

class Bzip2Decoder final : public ByteSource {
 public:
  explicit Bzip2Decoder(ByteSource& source) : input_(source) { start(); }
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }

  std::size_t read(std::span<std::byte> into) override {
    into = into.first(std::min<std::size_t>(into.size(), 1U << 30));
    stream_.next_out = reinterpret_cast<char*>(into.data());
    stream_.avail_out = static_cast<unsigned>(into.size());
    while (stream_.avail_out == into.size()) {
      const bool more = input_.fill();
      if (!more && ended_) return 0;
      if (ended_) restart();
      step(more);
    }
    return into.size() - stream_.avail_out;
  }

 private:
  void start() {
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) fail(ErrorKind::exhausted, "bzip2: out of memory");
    ended_ = false;
  }

  void restart() {
    char* const out = stream_.next_out;
    const unsigned room = stream_.avail_out;
    BZ2_bzDecompressEnd(&stream_);
    stream_ = {};
    start();
    stream_.next_out = out;
    stream_.avail_out = room;
  }

  void step(bool more) {
    const auto rest = input_.rest();
    const unsigned before = stream_.avail_out;
    stream_.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(rest.data()));
    stream_.avail_in = static_cast<unsigned>(rest.size());
    const int result = BZ2_bzDecompress(&stream_);
    input_.consume(rest.size() - stream_.avail_in);
    if (result != BZ_OK && result != BZ_STREAM_END)
      fail(ErrorKind::invalid_argument, "bzip2: corrupt stream ({})", result);
    ended_ = result == BZ_STREAM_END;
    if (!more && !ended_ && stream_.avail_out == before)
      fail(ErrorKind::invalid_argument, "bzip2: the stream is truncated");
  }

  CodecInput input_;
  bz_stream stream_{};
  bool ended_ = false;
};

class XzDecoder final : public ByteSource {
 public:
  explicit XzDecoder(ByteSource& source) : input_(source) {
    if (lzma_stream_decoder(&stream_, kMaxXzMemory, LZMA_CONCATENATED) != LZMA_OK)
      fail(ErrorKind::exhausted, "xz: out of memory");
  }
  ~XzDecoder() override { lzma_end(&stream_); }

  std::size_t read(std::span<std::byte> into) override {
    stream_.next_out = reinterpret_cast<std::uint8_t*>(into.data());
    stream_.avail_out = into.size();
    while (!ended_ && stream_.avail_out == into.size()) step();
    return into.size() - stream_.avail_out;
  }

 private:
  void step() {
    const bool more = input_.fill();
    const auto rest = input_.rest();
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(rest.data());
    stream_.avail_in = rest.size();
    const lzma_ret result = lzma_code(&stream_, more ? LZMA_RUN : LZMA_FINISH);
    input_.consume(rest.size() - stream_.avail_in);
    ended_ = result == LZMA_STREAM_END;
    if (result == LZMA_BUF_ERROR) fail(ErrorKind::invalid_argument, "xz: the stream is truncated");
    if (result == LZMA_MEMLIMIT_ERROR) fail(ErrorKind::invalid_argument, "xz: the stream needs too much memory");
    if (result != LZMA_OK && !ended_)
      fail(ErrorKind::invalid_argument, "xz: corrupt stream ({})", static_cast<int>(result));
  }

  CodecInput input_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> make_bzip2_decoder(ByteSource& source) { return std::make_unique<Bzip2Decoder>(source); }

std::unique_ptr<ByteSource> make_xz_decoder(ByteSource& source) { return std::make_unique<XzDecoder>(source); }

}  // namespace bryo::storage

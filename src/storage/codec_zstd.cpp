#include <zstd.h>

#include <vector>

#include "base/error.hpp"
#include "storage/codecs.hpp"

namespace bryo::storage {
namespace {

constexpr int kMaxWindowLog = 27;  // 128 MiB of memory for one stream
constexpr int kLevel = 3;

std::size_t checked(std::size_t result, const char* what) {
  if (ZSTD_isError(result) != 0U) fail(ErrorKind::invalid_argument, "zstd: {}: {}", what, ZSTD_getErrorName(result));
  return result;
}

class ZstdDecoder final : public ByteSource {
 public:
  explicit ZstdDecoder(ByteSource& source) : input_(source), context_(ZSTD_createDCtx()) {
    if (!context_) fail(ErrorKind::exhausted, "zstd: out of memory");
    checked(ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog), "set window");
  }

  std::size_t read(std::span<std::byte> into) override {
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (out.pos == 0) {
      // Without input, bytes may still wait inside; nothing comes out once a frame has ended.
      const bool more = input_.fill();
      if (!more && frame_done_) return 0;
      ZSTD_inBuffer in{input_.rest().data(), input_.rest().size(), 0};
      const std::size_t hint = checked(ZSTD_decompressStream(context_.get(), &out, &in), "corrupt stream");
      input_.consume(in.pos);
      frame_done_ = hint == 0;
      if (!more && out.pos == 0 && !frame_done_) fail(ErrorKind::invalid_argument, "zstd: the stream is truncated");
    }
    return out.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  CodecInput input_;
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool frame_done_ = false;
};

class ZstdEncoder final : public Encoder {
 public:
  explicit ZstdEncoder(ByteSink& sink) : sink_(sink), context_(ZSTD_createCCtx()), output_(kCodecBuffer) {
    if (!context_) fail(ErrorKind::exhausted, "zstd: out of memory");
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel), "set level");
    checked(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1), "set checksum");
  }
  void write(std::span<const std::byte> bytes) override { run(bytes, ZSTD_e_continue); }
  void finish() override { run({}, ZSTD_e_end); }

 private:
  void run(std::span<const std::byte> bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{output_.data(), output_.size(), 0};
      const std::size_t left = checked(ZSTD_compressStream2(context_.get(), &out, &in, directive), "compress");
      sink_.write(std::span(output_).first(out.pos));
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  ByteSink& sink_;
  std::unique_ptr<ZSTD_CCtx, Free> context_;
  std::vector<std::byte> output_;
};

}  // namespace

std::unique_ptr<ByteSource> make_zstd_decoder(ByteSource& source) { return std::make_unique<ZstdDecoder>(source); }

std::unique_ptr<Encoder> make_zstd_encoder(ByteSink& sink) { return std::make_unique<ZstdEncoder>(sink); }

}  // namespace bryo::storage

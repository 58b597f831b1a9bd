// gzip, zstd, bzip2, xz in this process, streaming: no program of the host or of an image ever runs (CVE-2014-9357,
// CVE-2026-41567). Inflate is ISA-L, deflate is ISA-L too (fast levels, multi-member streams are read).
// Decoders are bounded in memory (a zstd window above 128 MiB, an xz dictionary above 256 MiB:
// Error{invalid_argument}); the bounds on output are the reader's (tar_unpack.hpp). Truncated or corrupt input throws
// Error{invalid_argument}, never blocks, and holds no lock (CVE-2021-20291).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.hpp"

namespace bryo::storage {

enum class Compression { none, gzip, zstd, bzip2, xz };

std::string_view to_string(Compression compression);
// By the first bytes (six are enough).
Compression detect_compression(std::span<const std::byte> head);

// Reads the decoded bytes of `source`, which must outlive it. The first form detects.
std::unique_ptr<ByteSource> make_decoder(ByteSource& source);
std::unique_ptr<ByteSource> make_decoder(ByteSource& source, Compression compression);

// Encodes into `sink`; finish() writes the trailer and must be called.
class Encoder : public ByteSink {
 public:
  virtual void finish() = 0;
};
// none, gzip or zstd; Error{unsupported} otherwise. Output depends on the input only (no time, no name).
std::unique_ptr<Encoder> make_encoder(ByteSink& sink, Compression compression);

}  // namespace bryo::storage

// Reads a tar archive from a byte source, entry by entry. The archive is not trusted: headers are checked and bounded;
// names are returned as they stand, for the extractor to judge.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "cli/archive/tar_entry.hpp"

namespace bryo::cli {

// Fills the buffer and returns how much; 0 at the end.
using ByteSource = std::function<std::size_t(std::span<char>)>;

class TarReader {
 public:
  explicit TarReader(ByteSource source) : source_(std::move(source)) {}
  // Skips what is left of the entry before. nullopt at the archive's end. Throws Error{invalid_argument}.
  std::optional<TarEntry> next();
  // Contents of the current entry; 0 at its end.
  std::size_t read(std::span<char> into);

 private:
  bool fill(std::span<char> into);
  void skip();
  std::string read_extension(std::uint64_t size);

  ByteSource source_;
  std::uint64_t left_ = 0;     // bytes of the current entry
  std::uint64_t padding_ = 0;  // up to the next block
};

}  // namespace bryo::cli

// What is in this tar stream? Reads hostile archives strictly and in bounded memory.
//
// Understood as Go's archive/tar does, which built the images that exist: pax records override header fields, global
// pax headers are skipped, GNU long names and the GNU sparse forms are known. Refused with Error{invalid_argument}: bad
// checksums, numbers that do not fit, extension headers above 1 MiB (CVE-2017-14992 class), sparse maps of more than
// 65536 regions (CVE-2025-58183), names with NUL or above 4096 bytes, unknown entry types, truncation.
// One thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "storage/chunk_source.hpp"
#include "storage/tar_format.hpp"

namespace bryo::storage {

class TarReader {
 public:
  explicit TarReader(ChunkSource& source) : source_(source) {}

  // The next entry; what was left of the last one's content is skipped. false at the end of the archive.
  bool next(TarEntry& entry);
  // The next stored bytes of this entry's content, in place: valid until the next call. Empty when all were given.
  std::span<const std::byte> content();
  std::uint64_t content_left() const { return content_left_; }
  // Reads the rest of the stream (padding after the end).
  void drain();
  // Bytes of the archive taken so far.
  std::uint64_t position() const { return position_; }

 private:
  using Records = std::map<std::string, std::string, std::less<>>;
  struct Extensions {
    Records pax;
    std::string long_name;
    std::string long_link;
    std::vector<TarRegion> sparse_00;  // GNU.sparse.offset/numbytes pairs, in order
  };

  // Up to `limit` bytes in place; fewer at the end of a chunk; none at the end of the stream.
  std::span<const std::byte> take(std::size_t limit);
  // One block; nullptr at a clean end of the stream.
  const std::byte* take_block();
  void skip(std::uint64_t count);
  std::string read_extension(std::uint64_t size, const char* what);
  void read_pax(std::uint64_t size, Extensions& extensions);
  bool read_end();
  void read_gnu_sparse(const std::byte* header, TarEntry& entry);
  void read_sparse_10(TarEntry& entry);
  void finish_entry(const std::byte* header, Extensions& extensions, TarEntry& entry);
  void apply_sparse(const Extensions& extensions, TarEntry& entry);
  [[noreturn]] void corrupt(std::string_view why) const;

  ChunkSource& source_;
  std::span<const std::byte> chunk_;
  std::uint64_t position_ = 0;
  std::uint64_t content_left_ = 0;
  std::uint64_t padding_ = 0;
  bool ended_ = false;
};

}  // namespace bryo::storage

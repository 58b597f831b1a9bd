// Writes tar archives as Go's archive/tar does: ustar headers, pax records for what does not fit (long names, large
// numbers, fractions of seconds, xattrs). Output depends on the entries only. One thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "storage/tar_format.hpp"

namespace bryo::storage {

class TarWriter {
 public:
  explicit TarWriter(ByteSink& sink) : sink_(sink) {}

  // Header of an entry; exactly entry.size bytes of content must follow when it is a file. entry.regions is ignored:
  // holes are written as zeros.
  void begin(const TarEntry& entry);
  void content(std::span<const std::byte> bytes);
  // A whole entry with its content in memory.
  void add(const TarEntry& entry, std::string_view content = {});
  // Bytes of content that still have to come.
  std::uint64_t missing() const { return missing_; }
  // Zeros for what is missing: the file shrank while it was read.
  void pad();
  // The end mark.
  void finish();

 private:
  void write_pax(const TarEntry& entry, std::string_view records);
  void write_padding(std::uint64_t size);

  ByteSink& sink_;
  std::uint64_t missing_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace bryo::storage

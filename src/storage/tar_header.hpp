// Fields of one 512-byte tar header block and of pax records. Pure functions; malformed input throws
// Error{invalid_argument}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "storage/tar_format.hpp"

namespace bryo::storage {

// A view of one header block.
class TarHeader {
 public:
  explicit TarHeader(const std::byte* block) : block_(reinterpret_cast<const char*>(block)) {}

  bool all_zero() const;
  bool checksum_holds() const;
  char type() const { return block_[156]; }
  // With the ustar prefix where the header has one.
  std::string name() const;
  std::string link() const { return text(157, 100); }
  std::uint64_t size() const { return unsigned_number(124, 12, "size"); }
  std::uint32_t mode() const { return static_cast<std::uint32_t>(unsigned_number(100, 8, "mode") & 07777U); }
  std::uint32_t uid() const { return id(108, "uid"); }
  std::uint32_t gid() const { return id(116, "gid"); }
  std::int64_t mtime() const { return number(136, 12, "mtime"); }
  std::uint32_t device_major() const { return device(329); }
  std::uint32_t device_minor() const { return device(337); }
  bool is_gnu() const { return std::string_view(block_ + 257, 8) == std::string_view("ustar  \0", 8); }
  // Octal text or GNU's base 256.
  std::int64_t number(std::size_t at, std::size_t size, const char* what) const;
  std::uint64_t unsigned_number(std::size_t at, std::size_t size, const char* what) const;
  char byte_at(std::size_t at) const { return block_[at]; }

 private:
  std::string text(std::size_t at, std::size_t size) const;
  std::uint32_t id(std::size_t at, const char* what) const;
  std::uint32_t device(std::size_t at) const;
  const char* block_;
};

// Calls `record` for each "<length> <key>=<value>\n".
void for_each_pax_record(std::string_view records,
                         const std::function<void(std::string_view key, std::string_view value)>& record);
// "1350244992.023960108", "-1.5"
TarTime parse_pax_time(std::string_view text);
std::uint64_t parse_tar_number(std::string_view text, const char* what);
// A uid or gid: fits in 32 bits and is not (uid_t)-1 (CVE-2024-40635).
std::uint32_t parse_tar_id(std::string_view text, const char* what);

}  // namespace bryo::storage

// One member of a tar archive, and the header blocks that describe it: POSIX ustar with pax records; GNU long names and
// binary numbers are read too.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::cli {

struct TarEntry {
  enum class Type : char {
    file = '0',
    hard_link = '1',
    symlink = '2',
    character = '3',
    block = '4',
    directory = '5',
    fifo = '6',
  };
  std::string name;
  std::string link;  // target of a hard or symbolic link
  Type type = Type::file;
  std::uint32_t mode = 0644;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  std::uint64_t size = 0;
  std::int64_t mtime = 0;
  std::uint32_t mtime_nanos = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::string capability;  // security.capability, raw
};

inline constexpr std::size_t kTarBlock = 512;

// The header blocks of an entry: a pax header first, when the plain one cannot hold it.
std::string tar_header(const TarEntry& entry);

// One header block, as it stands. Throws Error{invalid_argument} for a wrong checksum or number.
struct RawTarHeader {
  char type = '0';
  TarEntry entry;
};
// nullopt for a block of zeros.
std::optional<RawTarHeader> parse_tar_header(std::string_view block);

// Applies "path", "linkpath", "size", "uid", "gid", "mtime" and SCHILY.xattr.security.capability of a pax record list.
void apply_pax(std::string_view records, TarEntry& entry);

}  // namespace bryo::cli

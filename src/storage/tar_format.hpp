// One entry of a tar archive: POSIX.1-2017 pax, ustar, old V7, GNU and star forms reduced to one struct.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bryo::storage {

enum class TarType : std::uint8_t {
  file,
  hard_link,
  symlink,
  character_device,
  block_device,
  directory,
  fifo,
};

struct TarTime {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  bool operator==(const TarTime&) const = default;
};

// A piece of a sparse file that has bytes in the archive; the rest is holes.
struct TarRegion {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  bool operator==(const TarRegion&) const = default;
};

struct TarEntry {
  TarType type = TarType::file;
  std::string name;        // as in the archive: may be anything, but holds no NUL
  std::string link;        // target of links
  std::uint32_t mode = 0;  // permission bits with set-uid, set-gid, sticky
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;  // of the file; bytes in the archive are fewer when it is sparse
  TarTime mtime;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
  bool sparse = false;
  std::vector<TarRegion> regions;  // in order, without overlap, within size
};

inline constexpr std::size_t kTarBlock = 512;

}  // namespace bryo::storage

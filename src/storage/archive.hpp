// Trees to tar and back, for `docker cp`, export, import and the archive API. Which file does the caller mean, and what
// may an upload do to the tree?
//
// Everything goes through a RootDirectory (Scope::in_root over a container's root, running or not): a link, swapped at
// whatever moment, leads to a file of the same tree or nowhere (CVE-2018-15664, CVE-2021-41089, CVE-2026-41568).
// Nothing of the tree is executed or loaded (CVE-2019-14271). Archives hold the container's ids, the tree the disk's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "kernel/paths.hpp"
#include "storage/id_shift.hpp"
#include "storage/layer_store.hpp"

namespace bryo::storage {

// X-Docker-Container-Path-Stat: base64 of this as JSON.
struct PathStat {
  std::string name;  // base name, "/" for the root
  std::int64_t size = 0;
  std::uint32_t mode = 0;   // Go's os.FileMode bits
  std::string mtime;        // RFC 3339
  std::string link_target;  // where a link leads, as an absolute path inside the tree
};

// Go's os.FileMode of a stat mode.
std::uint32_t go_file_mode(std::uint32_t mode);

// HEAD …/archive: the link itself unless the path ends in "/" or "/.". Error{not_found} with Docker's text
// ("Could not find the file <path> in container <id>": the caller adds the container).
PathStat stat_path(const kernel::RootDirectory& root, std::string_view path);

struct PackOptions {
  // First component of every name; empty: the last one of the path ("etc" for /etc/, "." for /etc/., "/" for /).
  std::string name;
  bool follow_link = false;  // the path itself, when it is a link
  // Called with the answer's stat before the first byte is written.
  std::function<void(const PathStat&)> ready;
};
// GET …/archive. Mounts in the tree are entered, except those of the kernel's state (proc, sysfs …). Sockets are left
// out; files that vanish while packing are skipped, files that shrink are padded.
PathStat pack(const kernel::RootDirectory& root, std::string_view path, const IdShift& shift, ByteSink& sink,
              const PackOptions& options = {});
// docker export: the whole tree, names without "./"; what is mounted in it is left out.
void pack_tree(const kernel::RootDirectory& root, const IdShift& shift, ByteSink& sink);

struct UnpackIntoOptions {
  bool no_overwrite_dir_non_dir = false;  // Error{invalid_argument} instead of replacing a directory by a file or back
  bool copy_uid_gid = true;               // owners of the archive; else `default_owner` (ids of the disk)
  kernel::Owner default_owner;
  UnpackLimits limits;
};
// PUT …/archive: the directory at `path` must exist (Error{not_found}; Error{invalid_argument} when it is none).
// Identity, gzip, zstd, bzip2 and xz are accepted.
void unpack_into(const kernel::RootDirectory& root, std::string_view path, const IdShift& shift, ByteSource& archive,
                 const UnpackIntoOptions& options = {});

}  // namespace bryo::storage

// Writes a directory tree as entries of a tar archive. The tree may be alive and hostile: each name is opened once, as
// a path descriptor that no link redirects, looked at, and only then read if it is a regular file. Links are stored,
// not followed; hard links within what is packed stay hard links; sockets are left out; files that vanish meanwhile are
// skipped, files that shrink are padded with zeros. Times are whole seconds, as Docker's. One thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "storage/id_shift.hpp"
#include "storage/tar_writer.hpp"

namespace bryo::storage {

enum class Mounts {
  leave_out,  // mount points are there, empty
  enter,      // volumes yes; proc, sysfs and their like no
};

class TreePacker {
 public:
  TreePacker(TarWriter& tar, const IdShift& shift, Mounts mounts = Mounts::enter)
      : tar_(tar), shift_(shift), mounts_(mounts) {}

  // What `name` in `directory` is, stored as `as` ("etc/hosts"), with all below it.
  void add(int directory, const std::string& name, const std::string& as);
  // Only itself.
  void add_single(int directory, const std::string& name, const std::string& as);
  // What is open (O_PATH is enough), with all below it.
  void add_open(int fd, const std::string& as);
  // The content of an open directory; names begin with `prefix` ("" or ending in "/").
  void add_content(int directory, const std::string& prefix);

 private:
  void add_below(int directory, const std::string& prefix, std::uint64_t mount, int depth);
  void add_tree(int fd, const struct stat& info, const std::string& as, std::uint64_t mount, int depth);
  void add_entry(int fd, const struct stat& info, const std::string& as);
  bool add_known_link(const struct stat& info, TarEntry& entry);
  void add_file(int fd, TarEntry& entry);
  TarEntry entry_of(const struct stat& info, const std::string& name) const;
  void add_xattrs(int fd, TarEntry& entry) const;
  bool may_enter(int directory, std::uint64_t mount) const;

  TarWriter& tar_;
  const IdShift& shift_;
  const Mounts mounts_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::vector<std::byte> buffer_;
};

}  // namespace bryo::storage

// Writes a directory tree as entries of a tar archive. Links are stored, not followed; hard links within the tree stay
// hard links; sockets are left out; files that vanish meanwhile are skipped, files that shrink are padded with zeros.
// Everything by descriptors. One thread.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <utility>

#include "storage/id_shift.hpp"
#include "storage/tar_writer.hpp"

namespace bryo::storage {

class TreePacker {
 public:
  TreePacker(TarWriter& tar, const IdShift& shift) : tar_(tar), shift_(shift) {}

  // What `name` in `directory` is, stored as `as`, with all below it.
  void add(int directory, const std::string& name, const std::string& as);
  // The content of an open directory; names begin with `prefix` ("" or ending in "/").
  void add_content(int directory, const std::string& prefix, int depth = 0);
  // The entry of an open directory itself.
  void add_directory(int directory, const std::string& as);

 private:
  void add_file(int directory, const std::string& name, TarEntry entry);
  TarEntry entry_of(const struct stat& info, std::string name) const;
  void add_xattrs(int fd, TarEntry& entry) const;
  void add_one(int directory, const std::string& name, const std::string& as, int depth);

  TarWriter& tar_;
  const IdShift& shift_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace bryo::storage

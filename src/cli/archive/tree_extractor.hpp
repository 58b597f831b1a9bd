// Unpacks an archive that a container supplied into a directory of the host (`cp` out of a container).
//
// The archive is hostile. No entry lands outside the directory, whatever links the archive or the directory holds:
// every component of a name is opened by its own openat(O_NOFOLLOW) below the one before, and a link in the way is an
// error (the class of CVE-2018-1002100 and CVE-2019-1002101). Names outside the tree that was asked for are refused, so
// a container cannot add files of its own choosing. Set-user-id bits are dropped and device nodes are left out: the
// files belong to whoever runs the command.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "cli/archive/tar_reader.hpp"

namespace bryo::cli {

class TreeExtractor {
 public:
  // Entries must be called `expected` or lie below it, and get `replacement` in its place; "." stands for the directory
  // itself.
  TreeExtractor(const std::string& directory, std::string expected, std::string replacement);
  // Throws Error; what was unpacked before stays.
  void extract(TarReader& archive);
  // Entries that were left out, to tell the user.
  const std::vector<std::string>& skipped() const { return skipped_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Place {
    UniqueFd parent;
    std::string name;
    std::string shown;
  };
  struct DirectoryTimes {
    UniqueFd directory;
    TarEntry entry;
  };

  std::vector<std::string> components_of(const std::string& name) const;
  Place locate(const std::string& name);
  void add(const TarEntry& entry, TarReader& archive);
  void clear_way(const Place& place, bool directory_wanted);
  void make_directory(const Place& place, const TarEntry& entry);
  void make_file(const Place& place, const TarEntry& entry, TarReader& archive);
  void make_link(const Place& place, const TarEntry& entry);
  void finish_directories();

  std::string root_name_;
  UniqueFd root_;
  std::string expected_;
  std::string replacement_;
  std::vector<DirectoryTimes> directories_;
  std::vector<std::string> skipped_;
  std::uint64_t bytes_ = 0;
};

}  // namespace bryo::cli

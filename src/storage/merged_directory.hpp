// What does a container see in a directory that several layers hold parts of? overlayfs's rules, without mounting.
//
// A MergedDirectory is the stack of one directory's parts, top first. Links are never followed: names are looked up one
// component at a time. For trees of ours (layers, upper directories of containers that may run). One thread each.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::storage {

class MergedDirectory {
 public:
  struct Entry {
    UniqueFd fd;  // O_PATH of the topmost one
    struct stat info {};
  };

  // Top first; O_PATH descriptors of directories.
  explicit MergedDirectory(std::vector<UniqueFd> parts) : parts_(std::move(parts)) {}
  static MergedDirectory open(const std::vector<std::string>& paths);

  bool empty() const { return parts_.empty(); }
  // The topmost part.
  int fd() const { return parts_.front().get(); }
  // What the name stands for; nullopt when it is not there or hidden by a whiteout.
  std::optional<Entry> find(const std::string& name) const;
  // The directory of that name; nullopt when there is none.
  std::optional<MergedDirectory> descend(const std::string& name) const;
  // "etc/hosts": as find, through directories only.
  std::optional<Entry> find_path(std::string_view path) const;
  // Sorted.
  std::vector<std::string> list() const;

 private:
  std::vector<UniqueFd> parts_;
};

}  // namespace bryo::storage

// Makes a tar archive of a file or directory tree, a block at a time: the body of an upload.
#pragma once

#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "base/unique_fd.hpp"
#include "cli/archive/tar_entry.hpp"

namespace bryo::cli {

class TreeWriter {
 public:
  // The entry for `path` itself is called `name`; what lies below it, name/…. Links are not followed.
  TreeWriter(std::string path, std::string name);
  // Next bytes of the archive, 0 at its end. Throws Error when a file cannot be read.
  std::size_t read(std::span<char> into);
  // Bytes produced so far.
  std::uint64_t produced() const { return produced_; }

 private:
  struct Item {
    std::string path;
    std::string name;
  };
  void refill();
  void add(const Item& item);
  void add_children(const Item& item, int directory);
  void read_file();

  std::deque<Item> waiting_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // files with several names: inode → first name
  std::string output_;
  UniqueFd file_;
  std::string file_path_;
  std::uint64_t file_left_ = 0;
  std::uint64_t file_padding_ = 0;
  std::uint64_t produced_ = 0;
  bool finished_ = false;
};

}  // namespace bryo::cli

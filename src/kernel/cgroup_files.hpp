// Reads and writes the small files of one cgroup directory. Private to the cgroup sources of kernel/.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

class CgroupDirectory {
 public:
  // nullopt when it does not exist; throws for any other reason.
  static std::optional<CgroupDirectory> open(const std::string& path);
  // Throws Error{not_found} too.
  static CgroupDirectory require(const std::string& path);

  const std::string& path() const { return path_; }
  int descriptor() const { return directory_.get(); }
  bool has(const char* file) const;
  // nullopt when the file is not there or cannot be read (a controller that is off answers so).
  std::optional<std::string> read(const char* file) const;
  std::optional<std::uint64_t> read_number(const char* file) const;
  // 0, or the errno of open or write.
  int try_write(const char* file, std::string_view value) const;
  // Throws "write <value> to <path>/<file>: <reason>".
  void write(const char* file, std::string_view value) const;
  UniqueFd open_for_writing(const char* file) const;
  // Empty when it cannot be opened (errno).
  UniqueFd try_open_for_writing(const char* file) const;
  // Names of the child cgroups.
  void for_each_child(const std::function<void(const char*)>& visit) const;

 private:
  CgroupDirectory(std::string path, UniqueFd directory) : path_(std::move(path)), directory_(std::move(directory)) {}

  std::string path_;
  UniqueFd directory_;
};

// One write(2) of the whole value; 0 or its errno.
int write_value(int fd, std::string_view value);
// Lines "key value" as they stand in memory.stat, cpu.stat and the like.
void for_each_key(std::string_view text, const std::function<void(std::string_view, std::uint64_t)>& visit);
// The value of one such key; 0 when it is missing.
std::uint64_t find_key(std::string_view text, std::string_view key);
// mkdir, 0755.
enum class MadeDirectory { made, there_already, no_parent };
MadeDirectory make_cgroup_directory(const std::string& path);
// rmdir of a directory and all below it. 0, or the errno of the first that would not go; ENOENT counts as done.
int remove_cgroup_tree(const std::string& path) noexcept;

}  // namespace bryo::kernel

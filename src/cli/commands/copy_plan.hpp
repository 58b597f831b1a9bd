// Where `cp` puts things: the rules of Docker's cp, which are those of cp(1) with some of rsync's. Pure: what the paths
// are has been looked up before.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace bryo::cli {

struct CopyEnd {
  std::string path;
  bool exists = false;
  bool is_directory = false;
  std::string rebase_name;  // source: name of its entry in the archive, when not the path's last element
};

struct CopyPlan {
  std::string directory;    // to unpack into
  std::string base;         // first element of the archive's names
  std::string replacement;  // what it becomes
};

// Throws Error{invalid_argument}: "cannot copy directory", "no such directory".
CopyPlan plan_copy(const CopyEnd& source, const CopyEnd& destination);

// CONTAINER:PATH → both; a local path → no container. "./a:b" and "/a:b" are local.
std::pair<std::optional<std::string>, std::string> split_copy_argument(const std::string& argument);
// Directory and last element; "a/." has the last element ".".
std::pair<std::string, std::string> split_last(std::string_view path);
// "x/" or "x/.": a directory is meant.
bool asserts_directory(std::string_view path);
// Made absolute, keeping a final "/" or "/.".
std::string absolute_keeping_end(std::string_view path);

}  // namespace bryo::cli

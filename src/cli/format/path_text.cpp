#include "cli/format/path_text.hpp"

#include <unistd.h>
#include <climits>

#include <array>
#include <vector>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {

std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> kept;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !kept.empty() && kept.back() != "..")
      kept.pop_back();
    else if (part != ".." || !rooted)
      kept.push_back(part);
  }
  std::string out = rooted ? "/" : "";
  for (const std::string_view part : kept) {
    if (!out.empty() && out.back() != '/') out += '/';
    out += part;
  }
  return out.empty() ? "." : out;
}

std::string absolute_path(std::string_view path) {
  if (path.starts_with('/')) return clean_path(path);
  std::array<char, PATH_MAX> directory{};
  if (::getcwd(directory.data(), directory.size()) == nullptr) fail_errno("find the working directory");
  return join_path(directory.data(), path);
}

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return clean_path(name);
  return clean_path(std::string(directory) + "/" + std::string(name));
}

std::string base_name(std::string_view path) {
  if (path.empty()) return ".";
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string directory_of(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return clean_path(path.substr(0, slash + 1));
}

}  // namespace bryo::cli

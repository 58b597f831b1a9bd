#include "storage/merged_directory.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "storage/whiteouts.hpp"

namespace bryo::storage {
namespace {

UniqueFd try_open(int directory, const std::string& name) {
  UniqueFd fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno != ENOENT && errno != ENOTDIR) fail_errno("open {}", printable(name));
  return fd;
}

}  // namespace

MergedDirectory MergedDirectory::open(const std::vector<std::string>& paths) {
  std::vector<UniqueFd> parts;
  for (const auto& path : paths) {
    parts.push_back(kernel::open_trusted(path, O_PATH | O_DIRECTORY));
    if (is_opaque(parts.back().get())) break;
  }
  return MergedDirectory(std::move(parts));
}

std::optional<MergedDirectory::Entry> MergedDirectory::find(const std::string& name) const {
  for (const UniqueFd& part : parts_) {
    UniqueFd fd = try_open(part.get(), name);
    if (!fd && is_hidden_by_file(part.get(), name)) return std::nullopt;
    if (!fd) continue;
    const struct stat info = kernel::stat_fd(fd.get());
    if (is_whiteout(info)) return std::nullopt;
    return Entry{std::move(fd), info};
  }
  return std::nullopt;
}

std::optional<MergedDirectory> MergedDirectory::descend(const std::string& name) const {
  std::vector<UniqueFd> below;
  for (const UniqueFd& part : parts_) {
    UniqueFd fd = try_open(part.get(), name);
    const bool hides = is_hidden_by_file(part.get(), name);
    if (!fd && hides) break;
    if (!fd) continue;
    if (!S_ISDIR(kernel::stat_fd(fd.get()).st_mode)) break;
    const bool last = hides || is_opaque(fd.get());
    below.push_back(std::move(fd));
    if (last) break;
  }
  if (below.empty()) return std::nullopt;
  return MergedDirectory(std::move(below));
}

std::optional<MergedDirectory::Entry> MergedDirectory::find_path(std::string_view path) const {
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos) return find(std::string(path));
  const auto below = descend(std::string(path.substr(0, slash)));
  if (!below) return std::nullopt;
  return below->find_path(path.substr(slash + 1));
}

std::vector<std::string> MergedDirectory::list() const {
  std::set<std::string> names;
  std::set<std::string> hidden;
  for (const UniqueFd& part : parts_) {
    std::set<std::string> hidden_by_files;  // from the next part on
    for (auto& entry : kernel::read_directory(part.get())) {
      if (entry.name.starts_with(kWhiteoutPrefix)) {
        if (const auto name = hidden_by_file(entry.name)) hidden_by_files.emplace(*name);
        continue;
      }
      if (names.contains(entry.name) || hidden.contains(entry.name)) continue;
      const bool whiteout = entry.type == DT_CHR && is_whiteout(kernel::stat_at(part.get(), entry.name));
      (whiteout ? hidden : names).insert(std::move(entry.name));
    }
    hidden.merge(hidden_by_files);
  }
  return {names.begin(), names.end()};
}

}  // namespace bryo::storage

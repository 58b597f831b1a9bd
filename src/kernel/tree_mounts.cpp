#include "kernel/tree_mounts.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/mountinfo_text.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

constexpr std::size_t kMaxMounts = 64U << 20;

}  // namespace

UniqueFd clone_tree(const std::string& path, bool recursive) {
  UniqueFd tree(raw::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0U)));
  if (tree.get() < 0) throw Error::from_errno(-tree.get(), fmt::format("copy the mount {} (open_tree)", path));
  return tree;
}

void attach_tree(int mount, const std::string& path) {
  const UniqueFd target = open_trusted(path, O_PATH);
  if (const int result = raw::attach(mount, target.get()); result < 0)
    throw Error::from_errno(-result, fmt::format("mount on {} (move_mount)", path));
}

void detach_tree(const std::string& path) {
  if (const int result = raw::unmount(path.c_str(), MNT_DETACH); result < 0)
    throw Error::from_errno(-result, fmt::format("unmount {}", path));
}

std::vector<std::string> mounts_below(const std::string& directory) {
  const UniqueFd file = open_at(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY);
  const std::string text = read_file(file.get(), kMaxMounts);
  const std::string prefix = directory + "/";
  std::vector<std::string> out;
  for (const std::string_view line : split(text, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 5) continue;
    std::string point = unescape_mountinfo(fields[4]);
    if (point.starts_with(prefix) && std::find(out.begin(), out.end(), point) == out.end())
      out.push_back(std::move(point));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace bryo::kernel

#include "kernel/cgroup_mounts.hpp"
#include "kernel/mountinfo_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::kernel {
namespace {}  // namespace

std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> out;
  for (const auto line : split(mountinfo, '\n')) {
    const auto halves = line.find(" - ");
    if (halves == std::string_view::npos) continue;
    const auto left = split(line.substr(0, halves), ' ');
    const auto right = split(line.substr(halves + 3), ' ');
    if (left.size() < 6 || right.size() < 3 || !right[0].starts_with("cgroup")) continue;
    out.push_back(
        {unescape_mountinfo(left[3]), unescape_mountinfo(left[4]), std::string(right[0]), std::string(right[2])});
  }
  return out;
}

bool is_better_mount(std::string_view candidate, const std::string& present) {
  const bool usual = candidate.starts_with("/sys/fs/cgroup");
  return present.empty() || (usual && !present.starts_with("/sys/fs/cgroup"));
}

std::string read_proc_text(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) fail_errno("open {}", path);
  std::string text;
  char block[8192];
  while (true) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read {}", path);
    if (got == 0) return text;
    text.append(block, static_cast<std::size_t>(got));
  }
}

}  // namespace bryo::kernel

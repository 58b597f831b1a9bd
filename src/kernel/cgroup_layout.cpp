#include <fcntl.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_places.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::kernel {
namespace {

// The part of a mountinfo line (proc(5)) that we need.
struct MountLine {
  std::string_view point;
  std::string_view type;
  std::string_view super_options;
};

std::optional<MountLine> parse_line(std::string_view line) {
  const auto halves = line.find(" - ");
  if (halves == std::string_view::npos) return std::nullopt;
  const auto left = split(line.substr(0, halves), ' ');
  const auto right = split(line.substr(halves + 3), ' ');
  if (left.size() < 6 || right.size() < 3) return std::nullopt;
  return MountLine{left[4], right[0], right[2]};
}

// Names in mountinfo have blanks and backslashes as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return out;
}

// A hierarchy may be mounted several times (inside root file systems of containers): the usual place wins, then the
// first.
bool better(std::string_view candidate, const std::string& present) {
  const bool usual = candidate.starts_with("/sys/fs/cgroup");
  return present.empty() || (usual && !present.starts_with("/sys/fs/cgroup"));
}

bool is_option(std::string_view name) {
  for (const std::string_view option :
       {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods"})
    if (name == option) return true;
  return name.starts_with("release_agent=") || name.empty();
}

std::string read_mountinfo() {
  const UniqueFd fd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!fd) fail_errno("open /proc/self/mountinfo");
  std::string text;
  char block[8192];
  while (true) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read /proc/self/mountinfo");
    if (got == 0) return text;
    text.append(block, static_cast<std::size_t>(got));
  }
}

}  // namespace

CgroupLayout CgroupLayout::detect() { return parse(read_mountinfo()); }

const CgroupLayout& CgroupLayout::once() {
  static const CgroupLayout layout = [] {
    auto usual = layout_of_usual_places();
    return usual ? *std::move(usual) : detect();
  }();
  return layout;
}

CgroupLayout CgroupLayout::parse(std::string_view mountinfo) {
  std::map<std::string, std::string> hierarchies;
  std::string unified;
  for (const auto line : split(mountinfo, '\n')) {
    const auto mount = parse_line(line);
    if (!mount) continue;
    if (mount->type == "cgroup2") {
      if (better(mount->point, unified)) unified = unescape(mount->point);
    } else if (mount->type == "cgroup") {
      for (const auto controller : split(mount->super_options, ',')) {
        if (is_option(controller)) continue;
        auto& place = hierarchies[std::string(controller)];
        if (better(mount->point, place)) place = unescape(mount->point);
      }
    }
  }
  return from_parts(std::move(hierarchies), std::move(unified));
}

CgroupLayout CgroupLayout::from_parts(std::map<std::string, std::string> hierarchies, std::string unified) {
  CgroupLayout layout;
  layout.v1_ = std::move(hierarchies);
  layout.unified_ = std::move(unified);
  // A hierarchy that only names processes (name=systemd) limits nothing.
  bool controllers = false;
  for (const auto& [name, point] : layout.v1_) controllers = controllers || !name.starts_with("name=");
  if (controllers)
    layout.version_ = layout.unified_.empty() ? CgroupVersion::v1 : CgroupVersion::hybrid;
  else if (!layout.unified_.empty())
    layout.version_ = CgroupVersion::v2;
  return layout;
}

bool CgroupLayout::has(std::string_view controller) const {
  if (version_ != CgroupVersion::v2) {
    const std::string name(controller == "io" ? std::string_view("blkio") : controller);
    return v1_.contains(name);
  }
  // Neither is a controller of its own in v2: every cgroup has them (cgroup.freeze, BPF device programs).
  if (controller == "freezer" || controller == "devices") return true;
  if (controller == "blkio") controller = "io";
  if (controller == "cpuacct") controller = "cpu";
  const auto root = CgroupDirectory::open(unified_);
  const auto names = root ? root->read("cgroup.controllers") : std::nullopt;
  if (!names) return false;
  for (const auto name : split(trim(*names), ' '))
    if (name == controller) return true;
  return false;
}

bool CgroupLayout::limits_swap() const {
  if (version_ == CgroupVersion::v2) {
    // The root has no memory.swap.max: it exists in children where the kernel counts swap.
    return has("memory") && ::access("/proc/swaps", F_OK) == 0;
  }
  const auto found = v1_.find("memory");
  return found != v1_.end() && ::access((found->second + "/memory.memsw.limit_in_bytes").c_str(), F_OK) == 0;
}

}  // namespace bryo::kernel

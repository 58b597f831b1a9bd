#include "kernel/cgroup_places.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

constexpr const char* kTop = "/sys/fs/cgroup";

bool is_mounted(const std::string& path, long magic) {
  struct statfs info = {};
  return ::statfs(path.c_str(), &info) == 0 && info.f_type == magic;
}

// Empty when it cannot be had whole.
std::string read_proc_cgroups() {
  const UniqueFd fd(::open("/proc/cgroups", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = fd ? ::read(fd.get(), text, sizeof text) : -1;
  if (size <= 0 || size == static_cast<ssize_t>(sizeof text)) return {};
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

std::vector<std::vector<std::string>> v1_hierarchies(std::string_view proc_cgroups) {
  std::map<std::string_view, std::vector<std::string>> by_number;
  for (const auto line : split(proc_cgroups, '\n')) {
    const auto fields = split(line, '\t');
    // 0: the controller belongs to v2, or to nobody.
    if (fields.size() < 4 || line.starts_with('#') || fields[1] == "0") continue;
    by_number[fields[1]].emplace_back(fields[0]);
  }
  std::vector<std::vector<std::string>> out;
  for (auto& [number, controllers] : by_number) out.push_back(std::move(controllers));
  return out;
}

std::optional<CgroupLayout> layout_of_usual_places() {
  const std::string text = read_proc_cgroups();
  if (text.empty()) return std::nullopt;
  std::map<std::string, std::string> places;
  for (const auto& controllers : v1_hierarchies(text)) {
    const std::string place = std::string(kTop) + "/" + join(controllers, ",");
    if (!is_mounted(place, CGROUP_SUPER_MAGIC)) return std::nullopt;
    for (const std::string& controller : controllers) places[controller] = place;
  }
  if (places.empty())
    return is_mounted(kTop, CGROUP2_SUPER_MAGIC) ? std::optional(CgroupLayout::from_parts({}, kTop)) : std::nullopt;
  const std::string systemd = std::string(kTop) + "/systemd";
  if (is_mounted(systemd, CGROUP_SUPER_MAGIC)) places["name=systemd"] = systemd;
  const std::string unified = std::string(kTop) + "/unified";
  return CgroupLayout::from_parts(std::move(places), is_mounted(unified, CGROUP2_SUPER_MAGIC) ? unified : "");
}

}  // namespace bryo::kernel

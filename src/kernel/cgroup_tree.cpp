#include "kernel/cgroup_tree.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_delegation.hpp"
#include "kernel/cgroup_files.hpp"

namespace bryo::kernel {
namespace {

// hugetlb takes part only where it is mounted; net_cls, perf_event, net_prio … have nothing to limit for us.
constexpr std::array kUsedV1 = {"memory", "pids", "cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio", "hugetlb"};
constexpr std::array kUsedV2 = {"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma"};

// "/a/b/c" → "/a", "/a/b", "/a/b/c".
std::vector<std::string> prefixes(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
    out.push_back(path.substr(0, at));
  out.push_back(path);
  return out;
}

// Our own name=systemd place is bryod's unit: a container that stayed there would be killed with it.
bool systemd_manages() {
  static const bool it_does = ::access("/run/systemd/system", F_OK) == 0;
  return it_does;
}

// `child` is new: it has nothing, or (cgroup.clone_children) what its parent has. False when the parent has nothing.
bool inherit_cpuset(const std::string& parent, const std::string& child) {
  const auto from = CgroupDirectory::require(parent);
  const auto to = CgroupDirectory::require(child);
  bool all = true;
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string inherited(trim(from.read(file).value_or("")));
    all = all && !inherited.empty();
    if (!inherited.empty()) to.write(file, inherited);
  }
  return all;
}
// Of those on the way that somebody has made and not filled (yet): another start at the same moment, or a plain mkdir.
void fill_cpusets(const std::string& hierarchy, const std::string& path) {
  std::string parent = hierarchy;
  for (const auto& prefix : prefixes(path)) {
    const auto directory = CgroupDirectory::require(hierarchy + prefix);
    if (trim(directory.read("cpuset.cpus").value_or("")).empty() ||
        trim(directory.read("cpuset.mems").value_or("")).empty())
      inherit_cpuset(parent, hierarchy + prefix);
    parent = hierarchy + prefix;
  }
}

bool contains_word(std::string_view text, std::string_view word) {
  const auto words = split(trim(text), ' ');
  return std::find(words.begin(), words.end(), word) != words.end();
}

void require_made(MadeDirectory outcome, const std::string& path) {
  // Somebody removes parents while we make children: as rare as it is wrong.
  if (outcome == MadeDirectory::no_parent) fail(ErrorKind::conflict, "create cgroup {}: its parent vanished", path);
}

void make_v1(const std::string& hierarchy, const std::string& path, bool cpusets) {
  // Usually the parent is there.
  const std::string leaf = hierarchy + path;
  const MadeDirectory first = make_cgroup_directory(leaf);
  if (first == MadeDirectory::there_already) return;
  if (first == MadeDirectory::made) {
    if (cpusets && !inherit_cpuset(leaf.substr(0, leaf.rfind('/')), leaf)) fill_cpusets(hierarchy, path);
    return;
  }
  for (const auto& prefix : prefixes(path)) {
    const std::string directory = hierarchy + prefix;
    require_made(make_cgroup_directory(directory), directory);
  }
  if (cpusets) fill_cpusets(hierarchy, path);
}

void make_v2(const std::string& unified, const std::string& path) {
  enable_controllers(unified);
  const auto all = prefixes(path);
  for (std::size_t i = 0; i < all.size(); ++i) {
    require_made(make_cgroup_directory(unified + all[i]), unified + all[i]);
    if (i + 1 < all.size()) enable_controllers(unified + all[i]);
  }
}

}  // namespace

// v2 gives controllers only to cgroups without processes of their own (the real root is exempt). Inside a container or
// a delegated subtree the processes are in the way: they move into a leaf.
void move_processes_to_leaf(const CgroupDirectory& directory) {
  const std::string leaf = directory.path() + "/" + std::string(kProcessLeaf);
  make_cgroup_directory(leaf);
  const auto target = CgroupDirectory::require(leaf);
  const auto processes = directory.read("cgroup.procs").value_or("");
  for (const auto pid : split(trim(processes), '\n'))
    if (!pid.empty() && pid != "0") target.try_write("cgroup.procs", pid);  // one that has just died is no error
}

void enable_controllers(const std::string& path) {
  const auto directory = CgroupDirectory::require(path);
  const auto available = directory.read("cgroup.controllers").value_or("");
  const auto enabled = directory.read("cgroup.subtree_control").value_or("");
  for (const std::string_view controller : kUsedV2) {
    if (!contains_word(available, controller) || contains_word(enabled, controller)) continue;
    const std::string request = "+" + std::string(controller);
    int number = directory.try_write("cgroup.subtree_control", request);
    if (number == EBUSY || number == EOPNOTSUPP) {
      move_processes_to_leaf(directory);
      number = directory.try_write("cgroup.subtree_control", request);
    }
    // One that cannot be had is an error only for a container that asks for its limits (the file is then missing).
  }
}

void check_cgroup_path(const std::string& path) {
  bool good = path.size() > 1 && path.front() == '/' && path.size() < 3000;
  if (good)
    for (const auto part : split(std::string_view(path).substr(1), '/'))
      good = good && !part.empty() && part != "." && part != ".." && part.size() < 256;
  for (const char c : path) good = good && static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  if (!good)
    fail(ErrorKind::invalid_argument, "\"{}\" is not a cgroup path: give one such as /bryo/name", printable(path));
}

std::vector<std::string> used_hierarchies(const CgroupLayout& layout) {
  std::vector<std::string> out;
  if (layout.version() == CgroupVersion::v2) return {layout.unified()};
  const auto add = [&](const char* controller) {
    const auto found = layout.hierarchies().find(controller);
    if (found == layout.hierarchies().end()) return;
    if (std::find(out.begin(), out.end(), found->second) == out.end()) out.push_back(found->second);
  };
  for (const char* controller : kUsedV1) add(controller);
  if (systemd_manages()) add("name=systemd");
  return out;
}

std::string hierarchy_of(const CgroupLayout& layout, std::string_view controller) {
  if (layout.version() == CgroupVersion::v2) return layout.unified();
  const auto found = layout.hierarchies().find(std::string(controller));
  return found == layout.hierarchies().end() ? std::string() : found->second;
}

std::string counting_hierarchy(const CgroupLayout& layout) {
  for (const char* controller : {"pids", "memory", "freezer", "cpu"})
    if (auto place = hierarchy_of(layout, controller); !place.empty()) return place;
  const auto used = used_hierarchies(layout);
  return used.empty() ? std::string() : used.front();
}

void make_everywhere(const CgroupLayout& layout, const std::string& path) {
  if (layout.version() == CgroupVersion::v2) {
    make_v2(layout.unified(), path);
    return;
  }
  const std::string cpusets = hierarchy_of(layout, "cpuset");
  for (const auto& hierarchy : used_hierarchies(layout)) make_v1(hierarchy, path, hierarchy == cpusets);
}

}  // namespace bryo::kernel

#include "kernel/cgroup_delegation.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_mounts.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

bool may_write(const std::string& path) { return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0; }

// "0::/a/b" is v2's line.
std::optional<std::string_view> unified_path(std::string_view cgroups) {
  for (const auto line : split(cgroups, '\n'))
    if (line.starts_with("0::/")) return line.substr(3);
  return std::nullopt;
}

// Of a cgroup as seen through a mount; nullopt when the mount does not show it.
std::optional<std::string> below_mount(std::string_view path, const CgroupMount& mount) {
  const std::string root = mount.root == "/" ? "" : mount.root;
  if (root.starts_with("/..") || path.starts_with("/..")) return std::nullopt;
  if (!path.starts_with(root)) return std::nullopt;
  const std::string_view rest = path.substr(root.size());
  if (!rest.empty() && rest.front() != '/') return std::nullopt;
  return mount.point + (rest == "/" ? "" : std::string(rest));
}

[[noreturn]] void wait_for_the_end(int lifeline) {
  raw::prctl(PR_SET_NAME, reinterpret_cast<unsigned long>("bryo-place"));
  if (lifeline > 0) raw::close_range(0, static_cast<unsigned>(lifeline) - 1, 0);
  raw::close_range(static_cast<unsigned>(lifeline) + 1, ~0U, 0);
  char nothing = 0;
  while (raw::call(SYS_read, lifeline, &nothing, 1) == -EINTR) {
  }
  raw::call(SYS_exit_group, 0);
  __builtin_unreachable();
}

}  // namespace

std::string unified_directory(std::string_view cgroups, std::string_view mountinfo) {
  const auto path = unified_path(cgroups);
  if (!path) return {};
  std::string best;
  for (const CgroupMount& mount : cgroup_mounts(mountinfo)) {
    if (mount.type != "cgroup2") continue;
    const auto directory = below_mount(*path, mount);
    if (directory && is_better_mount(*directory, best)) best = *directory;
  }
  return best;
}

std::string unified_directory_of(pid_t pid) {
  try {
    return unified_directory(read_proc_text(fmt::format("/proc/{}/cgroup", pid).c_str()),
                             read_proc_text("/proc/self/mountinfo"));
  } catch (const Error& error) {
    if (error.number() == ENOENT || error.number() == ESRCH) return {};
    throw;
  }
}

std::vector<std::string> cgroup_controllers(const std::string& directory) {
  std::vector<std::string> out;
  const auto cgroup = directory.empty() ? std::nullopt : CgroupDirectory::open(directory);
  const auto text = cgroup ? cgroup->read("cgroup.controllers").value_or("") : "";
  for (const auto name : split(trim(text), ' '))
    if (!name.empty()) out.emplace_back(name);
  return out;
}

bool is_delegated_cgroup(const std::string& directory) {
  return !directory.empty() && may_write(directory) && may_write(directory + "/cgroup.procs") &&
         may_write(directory + "/cgroup.subtree_control");
}

bool may_move_between(const std::string& from, const std::string& to) {
  const auto differ = std::mismatch(from.begin(), from.end(), to.begin(), to.end());
  // Whole names only: /a/b1 and /a/b2 have /a in common.
  const bool from_ends = differ.first == from.end() && (differ.second == to.end() || *differ.second == '/');
  const bool to_ends = differ.second == to.end() && (differ.first == from.end() || *differ.first == '/');
  std::string common(from.begin(), differ.first);
  if (!from_ends && !to_ends) common.resize(std::min(common.rfind('/'), common.size()));
  return may_write(common + "/cgroup.procs") && may_write(to + "/cgroup.procs");
}

void take_cgroup(const std::string& directory) {
  move_processes_to_leaf(CgroupDirectory::require(directory));
  enable_controllers(directory);
}

void move_to_cgroup(pid_t pid, const std::string& directory) {
  CgroupDirectory::require(directory).write("cgroup.procs", std::to_string(pid));
}

Placeholder::Placeholder() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno("make a pipe");
  const UniqueFd reading(ends[0]);
  lifeline_.reset(ends[1]);
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  const int child = raw::clone3(arguments);
  if (child == 0) wait_for_the_end(reading.get());
  if (child < 0) throw Error::from_errno(-child, "start a process that holds a cgroup (clone3)");
  pid_ = child;
}

Placeholder::~Placeholder() {
  lifeline_.reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace bryo::kernel

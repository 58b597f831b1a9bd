#include "rootless/command/evacuate.hpp"

#include <fcntl.h>

#include <span>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::rootless::command {
namespace {

constexpr std::size_t kMaxFile = 1U << 20;
constexpr int kRounds = 100;

std::string read_in(int directory, const std::string& name) {
  return kernel::read_file(kernel::open_at(directory, name, O_RDONLY).get(), kMaxFile);
}

void write_in(int directory, const std::string& name, std::string_view text) {
  kernel::write_all(kernel::open_at(directory, name, O_WRONLY).get(), std::as_bytes(std::span(text)));
}

// New ones may be born meanwhile: until there are none.
void move_processes(int from, int to) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = read_in(from, "cgroup.procs");
    if (trim(text).empty()) return;
    for (const std::string_view pid : split(trim(text), '\n')) {
      try {
        write_in(to, "cgroup.procs", pid);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found && error.number() != ESRCH) throw;
      }
    }
  }
}

}  // namespace

std::string unified_path(const std::string& text) {
  for (const std::string_view line : split(text, '\n'))
    if (line.starts_with("0::")) return std::string(line.substr(3));
  return {};
}

void evacuate_cgroup(const std::string& name) {
  const std::string path = unified_path(read_in(AT_FDCWD, "/proc/self/cgroup"));
  const std::string own_path = "/sys/fs/cgroup" + path;
  if (!kernel::try_stat_at(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers"))
    fail(ErrorKind::unsupported, "--evacuate-cgroup2={}: the host has no cgroup v2 at /sys/fs/cgroup", name);
  try {
    const UniqueFd own = kernel::open_trusted(own_path, O_RDONLY | O_DIRECTORY);
    kernel::try_make_directory(own.get(), name, 0755);
    const UniqueFd below = kernel::open_at(own.get(), name, O_RDONLY | O_DIRECTORY);
    move_processes(own.get(), below.get());
    const std::string controllers = read_in(own.get(), "cgroup.controllers");
    for (const std::string_view controller : split(trim(controllers), ' ')) {
      try {
        if (!controller.empty()) write_in(own.get(), "cgroup.subtree_control", "+" + std::string(controller));
      } catch (const Error& error) {
        log::warning("--evacuate-cgroup2: controller {} cannot be enabled: {}", controller, error.message());
      }
    }
  } catch (const Error& error) {
    throw error.within(
        fmt::format("--evacuate-cgroup2={}: our cgroup {} must be ours, for example by: systemd-run --user -p "
                    "Delegate=yes -t bryo-rootless …",
                    name, own_path));
  }
}

}  // namespace bryo::rootless::command

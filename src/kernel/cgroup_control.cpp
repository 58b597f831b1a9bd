// Freezing, thawing and killing what is in a container's cgroup.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/cgroup_files.hpp"
#include "kernel/cgroup_tree.hpp"
#include "kernel/cgroups.hpp"

namespace bryo::kernel {
namespace {

using Clock = std::chrono::steady_clock;

std::optional<CgroupDirectory> freezer_of(const CgroupLayout& layout, const std::string& path) {
  const auto hierarchy = hierarchy_of(layout, "freezer");
  return hierarchy.empty() ? std::nullopt : CgroupDirectory::open(hierarchy + path);
}

CgroupDirectory require_freezer(const CgroupLayout& layout, const std::string& path) {
  const auto hierarchy = hierarchy_of(layout, "freezer");
  if (hierarchy.empty()) fail(ErrorKind::unsupported, "cannot pause: this host has no cgroup controller \"freezer\"");
  return CgroupDirectory::require(hierarchy + path);
}

bool frozen_v1(const CgroupDirectory& freezer) { return trim(freezer.read("freezer.state").value_or("")) == "FROZEN"; }

bool frozen_v2(const CgroupDirectory& directory) {
  return find_key(directory.read("cgroup.events").value_or(""), "frozen") == 1;
}

// A v1 group may stay FREEZING while a task forks or sleeps in vfork: asking again from THAWED is what gets it through.
bool freeze_v1(const CgroupDirectory& freezer, Clock::time_point deadline) {
  for (int turn = 0; Clock::now() < deadline; ++turn) {
    if (turn % 50 == 49) freezer.try_write("freezer.state", "THAWED");
    freezer.write("freezer.state", "FROZEN");
    if (frozen_v1(freezer)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(turn < 20 ? 1 : 10));
  }
  return false;
}

// Reading it also says that its last change is no news any more (kernfs): poll() waits for the next one.
bool says_frozen(int events) {
  char text[256];
  const ssize_t size = ::pread(events, text, sizeof text, 0);
  return size > 0 && find_key({text, static_cast<std::size_t>(size)}, "frozen") == 1;
}

bool freeze_v2(const CgroupDirectory& directory, Clock::time_point deadline) {
  const UniqueFd events(::openat(directory.descriptor(), "cgroup.events", O_RDONLY | O_CLOEXEC));
  if (!events) fail_errno("open {}/cgroup.events", directory.path());
  directory.write("cgroup.freeze", "1");
  while (!says_frozen(events.get())) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd wait{events.get(), POLLPRI, 0};
    ::poll(&wait, 1, static_cast<int>(std::min<long long>(left, 100)));
  }
  return true;
}

// SIGKILL to all listed processes until a pass finds nobody new. Frozen v1 tasks get it when they are thawed.
void kill_listed(const ContainerCgroup& cgroup, const std::optional<CgroupDirectory>& freezer) {
  std::set<pid_t> done;
  for (int pass = 0; pass < 100; ++pass) {
    // Frozen, a fork bomb stands still while it is counted. Failing to freeze only makes more passes.
    if (freezer && pass > 0) freezer->try_write("freezer.state", "FROZEN");
    bool news = false;
    for (const pid_t pid : cgroup.pids()) {
      if (pid == ::getpid()) continue;
      ::kill(pid, SIGKILL);
      news = done.insert(pid).second || news;
    }
    if (freezer) freezer->try_write("freezer.state", "THAWED");
    if (!news) return;
  }
}

}  // namespace

void ContainerCgroup::freeze(std::chrono::milliseconds patience) const {
  const auto deadline = Clock::now() + patience;
  const bool unified = layout_.version() == CgroupVersion::v2;
  const auto directory = require_freezer(layout_, path_);
  if (unified ? freeze_v2(directory, deadline) : freeze_v1(directory, deadline)) return;
  thaw();
  fail(ErrorKind::unavailable, "pause {}: a process could not be stopped within {} ms", path_, patience.count());
}

void ContainerCgroup::thaw() const {
  const auto directory = require_freezer(layout_, path_);
  if (layout_.version() == CgroupVersion::v2)
    directory.write("cgroup.freeze", "0");
  else
    directory.write("freezer.state", "THAWED");
}

bool ContainerCgroup::frozen() const {
  const auto directory = freezer_of(layout_, path_);
  if (!directory) return false;
  return layout_.version() == CgroupVersion::v2 ? frozen_v2(*directory) : frozen_v1(*directory);
}

void ContainerCgroup::kill_all() const {
  if (layout_.version() == CgroupVersion::v2) {
    const auto directory = CgroupDirectory::open(layout_.unified() + path_);
    if (!directory || directory->try_write("cgroup.kill", "1") == 0) return;  // Linux 5.14
    directory->try_write("cgroup.freeze", "0");
    kill_listed(*this, std::nullopt);
    return;
  }
  kill_listed(*this, freezer_of(layout_, path_));
}

}  // namespace bryo::kernel

#include "rootless/cgroup_home.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "ids/accounts.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"
#include "kernel/systemd_manager.hpp"
#include "rootless/user_namespace.hpp"

namespace bryo::rootless {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kStopPatience = 10'000'000;  // microseconds from SIGTERM to SIGKILL, as `docker stop` has it
constexpr int kAttempts = 20;
constexpr milliseconds kAttemptPause{100};
constexpr std::string_view kWanted[] = {"cpu", "cpuset", "io", "memory", "pids"};

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

std::string_view last_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }
std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool in_leaf(const std::string& directory) { return last_name(directory) == kernel::kProcessLeaf; }

std::vector<std::string> runtime_directories() {
  std::vector<std::string> out;
  if (const char* given = std::getenv("XDG_RUNTIME_DIR"); given != nullptr && *given == '/') out.emplace_back(given);
  const std::string usual = fmt::format("/run/user/{}", ids::value(uid_outside()));
  if (out.empty() || out.front() != usual) out.push_back(usual);
  return out;
}

kernel::SystemdManager user_manager() {
  std::string failures;
  for (const std::string& directory : runtime_directories()) {
    try {
      return kernel::SystemdManager::connect_user(directory);
    } catch (const Error& error) {
      failures += (failures.empty() ? "" : "; ") + error.message();
    }
  }
  fail(ErrorKind::unavailable, "{}", failures);
}

std::string own_name() {
  const auto uid = ids::value(uid_outside());
  const auto user = ids::NssAccounts().user(uid);
  return user ? user->name : std::to_string(uid);
}

// The controllers that a delegation should name, all at once: a later drop-in would replace this one's list.
std::string all_controllers(const std::vector<std::string>& of_host) {
  std::string out;
  for (const std::string_view name : kWanted)
    if (contains(of_host, name)) out.append(out.empty() ? "" : " ").append(name);
  return out;
}

std::string drop_in(const std::string& unit, const std::string& controllers) {
  const std::string directory = "/etc/systemd/system/" + unit + ".d";
  return fmt::format(
      "sudo mkdir -p {0} && printf '[Service]\\nDelegate={1}\\n' | sudo tee {0}/delegate.conf && sudo systemctl "
      "daemon-reload",
      directory, controllers);
}

// "/sys/fs/cgroup/system.slice/x.service" → "x.service"; the user's manager itself is one too.
std::string system_service(const std::string& directory) {
  std::string found;
  for (const auto part : split(directory, '/')) {
    if (part.ends_with(".service")) found = part;
    if (part.starts_with("user@")) return {};
  }
  return found;
}

}  // namespace

std::string cgroup_remedy(const CgroupFacts& facts, std::string_view controller) {
  if (!facts.unified)
    return "this host has cgroup version 1, which gives limits to root only. An administrator boots it with version 2: "
           "systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
  if (!controller.empty() && !contains(facts.of_host, controller))
    return "this kernel has no such controller, or it was left out at boot (cgroup_disable=)";
  const std::string wanted = all_controllers(facts.of_host);
  const std::string& place = facts.directory.empty() ? facts.own : facts.directory;
  if (const std::string unit = system_service(place); !unit.empty())
    return fmt::format("{} does not pass it on. An administrator changes that with: {}, and restarts the unit", unit,
                       drop_in(unit, wanted));
  if (!facts.directory.empty())
    return fmt::format(
        "it is not delegated to user {0}. An administrator delegates it with: {1}; it counts from the user's next "
        "login, or after sudo systemctl restart user@{0}.service (which ends what runs in it)",
        facts.user, drop_in("user@.service", wanted));
  return fmt::format(
      "no cgroup is delegated to this daemon{}. Start it as a unit of the user's systemd (systemctl --user enable "
      "--now "
      "bryo; an administrator lets that run without a login with: sudo loginctl enable-linger {}), or as a system "
      "unit "
      "with User= and Delegate=yes",
      facts.refusal.empty() ? "" : ": " + facts.refusal, facts.user);
}

CgroupHome::CgroupHome(const std::string& exec_root) {
  try {
    find(exec_root);
  } catch (const Error& error) {
    facts_.directory.clear();
    facts_.refusal = error.message();
  }
  if (!facts_.directory.empty()) {
    facts_.of_place = kernel::cgroup_controllers(facts_.directory);
    layout_ = kernel::CgroupLayout::from_parts({}, facts_.directory);
    log::info("Cgroups of containers are made in {}", facts_.directory);
  } else {
    log::warning("Containers have no cgroups, so nothing limits them: {}", remedy(""));
  }
}

void CgroupHome::find(const std::string& exec_root) {
  facts_.user = own_name();
  const auto host = kernel::CgroupLayout::detect();
  if (host.unified().empty()) return;
  facts_.of_host = kernel::cgroup_controllers(host.unified());
  facts_.unified = !facts_.of_host.empty();
  facts_.own = kernel::unified_directory_of(::getpid());
  if (!facts_.unified) return;
  if (in_leaf(facts_.own) && kernel::is_delegated_cgroup(parent_of(facts_.own))) {
    take(parent_of(facts_.own));
    return;
  }
  scope_ = "bryo-containers-" + Digest::of(exec_root).hex().substr(0, 8) + ".scope";
  if (use_scope()) return;
  scope_.clear();
  if (!kernel::is_delegated_cgroup(facts_.own)) return;
  take(facts_.own);
  blocks_its_unit_ = facts_.own.ends_with(".service");
}

void CgroupHome::take(const std::string& directory) {
  kernel::take_cgroup(directory);
  if (facts_.directory != directory) facts_.directory = directory;  // keep() makes the same one again
}

bool CgroupHome::use_scope() {
  try {
    enter_scope();
    return true;
  } catch (const Error& error) {
    placeholder_.reset();
    facts_.refusal = error.message();
    return false;
  }
}

void CgroupHome::enter_scope() {
  auto systemd = user_manager();
  auto placeholder = std::make_unique<kernel::Placeholder>();
  const auto member = static_cast<std::uint32_t>(placeholder->pid());
  const std::vector<kernel::UnitProperty> properties = {{"Description", std::string("Containers of Bryo")},
                                                        {"Delegate", true},
                                                        {"PIDs", std::vector<std::uint32_t>{member}},
                                                        {"TasksMax", UINT64_MAX},
                                                        {"TimeoutStopUSec", kStopPatience},
                                                        {"CollectMode", std::string("inactive-or-failed")}};
  const std::string leaf = "/" + std::string(kernel::kProcessLeaf);
  // Between "active" and "gone" a scope of this name takes neither a new process nor a new scope.
  for (int attempt = 1; !systemd.try_start_unit(scope_, properties); ++attempt) {
    try {
      systemd.attach_process(scope_, leaf, placeholder->pid());
      break;
    } catch (const Error&) {
      if (attempt == kAttempts) throw;
    }
    std::this_thread::sleep_for(kAttemptPause);
  }
  std::string directory = kernel::unified_directory_of(placeholder->pid());
  if (in_leaf(directory)) directory = parent_of(directory);
  if (last_name(directory) != scope_)
    fail(ErrorKind::unavailable, "systemd made the scope {}, but its process is in {}", scope_, directory);
  take(directory);
  if (kernel::may_move_between(facts_.own, directory)) {
    placeholder_ = std::move(placeholder);
    return;
  }
  systemd.attach_process(scope_, leaf, ::getpid());
}

void CgroupHome::keep() {
  if (scope_.empty()) return;
  const std::lock_guard lock(mutex_);
  if (kernel::try_stat_at(AT_FDCWD, facts_.directory)) return;
  log::warning("The scope {} has ended: systemd is asked for it again", scope_);
  placeholder_.reset();
  enter_scope();
}

}  // namespace bryo::rootless

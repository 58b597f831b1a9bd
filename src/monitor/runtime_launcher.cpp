// Launcher on runtime::Container: containers from serialized plans.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "monitor/launcher.hpp"
#include "monitor/own_process.hpp"

namespace bryo::monitor {
namespace {

// The host's id for one of the container's, by the text of its map; nullopt when it has none.
std::optional<std::uint32_t> host_id(std::string_view map, std::uint32_t id) {
  if (map.empty()) return id;
  for (const auto line : split(map, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    const auto inside = parse_integer<std::uint32_t>(words[0]);
    const auto outside = parse_integer<std::uint32_t>(words[1]);
    const auto count = parse_integer<std::uint32_t>(words[2]);
    if (inside && outside && count && id >= *inside && id - *inside < *count) return *outside + (id - *inside);
  }
  return std::nullopt;
}

class RuntimeLauncher final : public Launcher {
 public:
  pid_t begin(std::span<const std::byte> plan, std::vector<int> plan_descriptors, const runtime::ChildStdio& stdio,
              const runtime::CgroupPlacement& cgroup, const runtime::LaunchHooks* hooks) override {
    plan_ = std::make_unique<runtime::LaunchPlan>(runtime::deserialize_launch_plan(plan));
    uid_map_ = plan_->maps.uid;
    adjust(plan_->process, stdio);
    descriptors_ = std::move(plan_descriptors);
    container_.emplace(runtime::Container::begin(
        *plan_,
        {.stdio = stdio, .cgroup = cgroup, .descriptors = descriptors_, .on_listener = on_listener_, .hooks = hooks}));
    return container_->pid();
  }

  void hand_listeners_to(runtime::ListenerHandler handler) override { on_listener_ = std::move(handler); }

  UniqueFd network_namespace() override { return container_->network_namespace(); }

  void wait_created(const std::function<void()>& when_mounted) override {
    if (when_mounted) run_hooks(when_mounted);
    container_->wait_created();
    plan_.reset();
    descriptors_.clear();
  }

  UniqueFd take_terminal() override { return container_->take_pty_master(); }
  std::vector<std::string> warnings() override { return container_->warnings(); }
  void start() override { container_->start(); }
  int oom_score_adj() override { return original_score_; }
  int pidfd() override { return container_->pidfd(); }

  LaunchedExec exec(std::span<const std::byte> plan, const runtime::ChildStdio& stdio,
                    const runtime::CgroupPlacement& cgroup) override {
    runtime::ExecPlan exec = runtime::deserialize_exec_plan(plan);
    adjust(exec.process, stdio);
    auto process = runtime::ExecProcess::start(exec, container_->pidfd(), {stdio, cgroup, {}, on_listener_});
    return {process.pid(), process.take_pty_master(), process.warnings()};
  }

 private:
  void run_hooks(const std::function<void()>& hooks) {
    container_->wait_mounted();
    try {
      hooks();
    } catch (const Error&) {
      container_.reset();
      throw;
    }
  }

  void adjust(runtime::ProcessPlan& process, const runtime::ChildStdio& stdio) const {
    // Not the monitor's own, which protects it from the OOM killer.
    if (!process.oom_score_adj) process.oom_score_adj = original_score_;
    const auto owner = host_id(uid_map_, process.uid);
    if (!owner || *owner == ::geteuid()) return;
    // The program may open /dev/stdout again: then the pipe's owner counts.
    for (const int fd : {stdio.in, stdio.out, stdio.err}) {
      struct stat state {};
      if (fd < 0 || ::fstat(fd, &state) < 0 || !S_ISFIFO(state.st_mode)) continue;
      if (::fchown(fd, *owner, static_cast<gid_t>(-1)) < 0 && errno != EPERM)
        fail_errno("give the standard streams to uid {}", *owner);
    }
  }

  int original_score_ = original_oom_score_adj();
  std::unique_ptr<runtime::LaunchPlan> plan_;
  std::string uid_map_;
  std::vector<int> descriptors_;
  runtime::ListenerHandler on_listener_;
  std::optional<runtime::Container> container_;
};

}  // namespace

std::unique_ptr<Launcher> make_runtime_launcher() { return std::make_unique<RuntimeLauncher>(); }

}  // namespace bryo::monitor

// How a monitor starts processes: the narrow seam between the monitor and runtime/, so that everything else here can be
// tested without root. Order of calls: begin, wait_created, start; then exec as often as wanted. All throw Error, and
// then the child is gone and reaped; afterwards it is a child of this process and reaped by it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/container.hpp"

namespace bryo::monitor {

struct LaunchedExec {
  pid_t pid = 0;
  UniqueFd terminal;  // master, when the plan asks for one
  std::vector<std::string> warnings;
};

class Launcher {
 public:
  virtual ~Launcher() = default;

  // Returns the pid of the container's init, which waits for start(). The descriptors stay open until wait_created().
  virtual pid_t begin(std::span<const std::byte> plan, std::vector<int> plan_descriptors,
                      const runtime::ChildStdio& stdio, const runtime::CgroupPlacement& cgroup,
                      const runtime::LaunchHooks* hooks) = 0;
  // Before begin(): who gets the listeners of filters that hold calls back.
  virtual void hand_listeners_to(runtime::ListenerHandler handler) = 0;
  virtual UniqueFd network_namespace() = 0;
  // `when_mounted`: with hooks only; called when everything is mounted, and what it throws ends the launch.
  virtual void wait_created(const std::function<void()>& when_mounted) = 0;
  virtual UniqueFd take_terminal() = 0;
  virtual std::vector<std::string> warnings() = 0;
  virtual void start() = 0;
  // What this process had before it protected itself: for programs that are not the container's.
  virtual int oom_score_adj() = 0;
  // Borrowed; of init.
  virtual int pidfd() = 0;
  virtual LaunchedExec exec(std::span<const std::byte> plan, const runtime::ChildStdio& stdio,
                            const runtime::CgroupPlacement& cgroup) = 0;
};

// The real one.
std::unique_ptr<Launcher> make_runtime_launcher();

}  // namespace bryo::monitor

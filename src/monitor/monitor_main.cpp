#include "monitor/monitor_main.hpp"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.hpp"
#include "monitor/own_process.hpp"
#include "monitor/session.hpp"

namespace bryo::monitor {
namespace {

// Nobody stops a container by stopping its monitor: a service manager ends bryod's unit with SIGTERM to all of it.
void ignore_signals() {
  for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGTSTP})
    ::signal(number, SIG_IGN);
}

UniqueFd watch_children() {
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &children, nullptr) < 0) fail_errno("block SIGCHLD");
  UniqueFd fd(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) fail_errno("signalfd for SIGCHLD");
  // Processes that their parents leave behind outside the container's pid namespace come to us to be reaped.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) fail_errno("prctl PR_SET_CHILD_SUBREAPER");
  return fd;
}

}  // namespace

int run_monitor(Launcher& launcher) try {
  // One arena, small and often given back: this process is there once for each container.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 64 * 1024);
  ::mallopt(M_MMAP_THRESHOLD, 64 * 1024);
  ::close_range(kControlDescriptor + 1, ~0U, 0);
  if (::chdir("/") < 0) fail_errno("chdir /");
  ::prctl(PR_SET_NAME, "bryo-monitor", 0, 0, 0);  // else it is the number of the memfd
  ::umask(022);
  ignore_signals();
  UniqueFd children = watch_children();
  protect_this_process();
  EventLoop loop;
  Session session(loop, launcher, UniqueFd(kControlDescriptor), std::move(children));
  loop.run();
  return 0;
} catch (const std::exception& error) {
  // Standard error is /dev/null for a real monitor; under a debugger it is not.
  const std::string text = std::string("bryo-monitor: ") + error.what() + "\n";
  static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) < 0);
  return 1;
}

}  // namespace bryo::monitor

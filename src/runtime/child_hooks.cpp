// Hooks that run in the container's namespaces: createContainer before pivot_root, where the host's programs are still
// in reach, startContainer as the last thing before the program (OCI runtime spec, "POSIX-platform Hooks").
#include <poll.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

constexpr int kFailed = 1;

// Standard input is the state; output goes where the container's does, or nowhere when that is a terminal to be.
[[noreturn]] void become_hook(ChildContext& context, const HookToRun& hook, int state, const int* output) noexcept {
  raw::call(SYS_lseek, state, 0, SEEK_SET);
  const long nowhere = raw::call(SYS_open, "/dev/null", O_WRONLY | O_CLOEXEC);
  const int link = raw::duplicate(context.link.fd(), 3);
  context.link.use(link);
  const int sources[3] = {state, output[0] >= 0 ? output[0] : static_cast<int>(nowhere),
                          output[1] >= 0 ? output[1] : static_cast<int>(nowhere)};
  int moved[3];
  for (int i = 0; i < 3; ++i) moved[i] = sources[i] < 0 ? -1 : raw::duplicate(sources[i], 3);
  for (int i = 0; i < 3; ++i) raw::call(SYS_dup3, moved[i], i, 0);
  raw::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  raw::call(SYS_chdir, "/");
  raw::call(SYS_setpgid, 0, 0);
  const long result = raw::call(SYS_execve, hook.path, hook.arguments, hook.environment);
  context.link.fail(static_cast<int>(-result), {"run hook ", hook.path});
}

// False when it has not ended in time.
bool wait_until_end(int pidfd, int seconds) noexcept {
  struct pollfd waited = {pidfd, POLLIN, 0};
  struct timespec left = {};
  left.tv_sec = seconds;
  long ready = 0;
  while ((ready = raw::call(SYS_ppoll, &waited, 1UL, seconds < 0 ? nullptr : &left, nullptr, 8UL)) == -EINTR) {
  }
  return ready != 0;
}

void run_hook(ChildContext& context, const HookToRun& hook, const char* kind, int state, const int* output) noexcept {
  int pidfd = -1;
  struct clone_args arguments = {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const int pid = context.link.check(raw::clone3(arguments), {"clone for ", kind, " hook ", hook.path});
  if (pid == 0) become_hook(context, hook, state, output);
  const bool in_time = wait_until_end(pidfd, hook.timeout);
  // With what it has started; itself also before it has a group.
  if (!in_time) {
    raw::call(SYS_kill, -pid, SIGKILL);
    raw::pidfd_send_signal(pidfd, SIGKILL);
  }
  int status = 0;
  while (raw::call(SYS_wait4, pid, &status, 0, nullptr) == -EINTR) {
  }
  raw::close(pidfd);
  FixedText<24> number;
  if (!in_time) {
    number.add_number(static_cast<std::uint64_t>(hook.timeout));
    context.link.cannot_run(0, kFailed, {kind, " hook ", hook.path, " did not end within ", number.c_str(), " s"});
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  number.add_number(static_cast<std::uint64_t>(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)));
  context.link.cannot_run(
      0, kFailed,
      {kind, " hook ", hook.path, " failed: ", WIFEXITED(status) ? "exit status " : "signal ", number.c_str()});
}

}  // namespace

void run_create_hooks(ChildContext& context) noexcept {
  context.link.send(ReportKind::mounted);
  // The launcher gave up: a hook of its own has failed.
  if (context.link.wait_for(ReportKind::hooks_done) < 0) end(kFailed);
  for (const HookToRun& hook : context.create_hooks)
    run_hook(context, hook, "createContainer", context.create_state, &context.stdio[1]);
  context.pause_for_hooks = false;
}

void run_start_hooks(ChildContext& context) noexcept {
  const int own_output[2] = {1, 2};
  for (const HookToRun& hook : context.start_hooks)
    run_hook(context, hook, "startContainer", context.start_state, own_output);
  if (context.start_state >= 0) raw::close(context.start_state);
}

}  // namespace bryo::runtime::child

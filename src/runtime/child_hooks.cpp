// Hooks that run in the container's namespaces: createContainer before pivot_root, where the host's programs are still
// in reach, startContainer as the last thing before the program (OCI runtime spec, "POSIX-platform Hooks").
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel/raw.hpp"
#include "runtime/child.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

constexpr int kFailed = 1;
constexpr int kReadsOfAPipe = 16;  // of 64 KiB

// The end of what a hook has written: why it failed.
class LastWords {
 public:
  void add(const char* text, std::size_t size) noexcept {
    if (size > kRoom) {
      text += size - kRoom;
      size = kRoom;
    }
    const std::size_t kept = size_ + size > kRoom ? kRoom - size : size_;
    for (std::size_t i = 0; i < kept; ++i) text_[i] = text_[size_ - kept + i];
    for (std::size_t i = 0; i < size; ++i) text_[kept + i] = text[i];
    size_ = kept + size;
    text_[size_] = '\0';
  }
  bool empty() const noexcept { return size_ == 0; }
  const char* c_str() noexcept {
    while (size_ > 0 && text_[size_ - 1] == '\n') text_[--size_] = '\0';
    for (std::size_t i = 0; i < size_; ++i)
      if (text_[i] == '\n') text_[i] = ' ';
    return text_;
  }

 private:
  static constexpr std::size_t kRoom = 512;
  char text_[kRoom + 1] = {};
  std::size_t size_ = 0;
};

// Standard input is the state; what it writes comes back to us.
[[noreturn]] void become_hook(ChildContext& context, const HookToRun& hook, int state, int output) noexcept {
  raw::call(SYS_lseek, state, 0, SEEK_SET);
  const int link = raw::duplicate(context.link.fd(), 3);
  context.link.use(link);
  const int sources[3] = {state, output, output};
  int moved[3];
  for (int i = 0; i < 3; ++i) moved[i] = sources[i] < 0 ? -1 : raw::duplicate(sources[i], 3);
  for (int i = 0; i < 3; ++i) raw::call(SYS_dup3, moved[i], i, 0);
  raw::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  raw::call(SYS_chdir, "/");
  raw::call(SYS_setpgid, 0, 0);
  const long result = raw::call(SYS_execve, hook.path, hook.arguments, hook.environment);
  context.link.fail(static_cast<int>(-result), {"run hook ", hook.path});
}

// One read: a hook that goes on writing is not waited for. False at the end of the output.
bool read_output(int output, LastWords& words) noexcept {
  char block[4096];
  const long got = raw::call(SYS_read, output, block, sizeof block);
  if (got > 0) words.add(block, static_cast<std::size_t>(got));
  return got > 0 || got == -EAGAIN || got == -EINTR;
}

// False when it has not ended in time.
bool wait_until_end(int pidfd, int seconds, int output, LastWords& words) noexcept {
  struct timespec now = {};
  raw::call(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  const long long deadline = (now.tv_sec + static_cast<long long>(seconds)) * 1000 + now.tv_nsec / 1'000'000;
  for (;;) {
    raw::call(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    const long long left = deadline - now.tv_sec * 1000LL - now.tv_nsec / 1'000'000;
    if (seconds >= 0 && left <= 0) return false;
    struct timespec patience = {};
    patience.tv_sec = left / 1000;
    patience.tv_nsec = left % 1000 * 1'000'000;
    struct pollfd waited[2] = {{pidfd, POLLIN, 0}, {output, POLLIN, 0}};
    raw::call(SYS_ppoll, waited, 2UL, seconds < 0 ? nullptr : &patience, nullptr, 8UL);
    if (waited[1].revents != 0 && !read_output(output, words)) output = -1;
    if (waited[0].revents != 0) return true;
  }
}

void run_hook(ChildContext& context, const HookToRun& hook, const char* kind, int state) noexcept {
  // Without it (a filter that lets no pipe be made) the hook writes to nobody.
  int output[2] = {-1, -1};
  raw::call(SYS_pipe2, output, O_CLOEXEC | O_NONBLOCK);
  if (output[1] < 0) output[1] = static_cast<int>(raw::call(SYS_open, "/dev/null", O_WRONLY | O_CLOEXEC));
  // Only our end: it would be told EAGAIN.
  if (output[0] >= 0) raw::call(SYS_fcntl, output[1], F_SETFL, 0);
  int pidfd = -1;
  struct clone_args arguments = {};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const int pid = context.link.check(raw::clone3(arguments), {"clone for ", kind, " hook ", hook.path});
  if (pid == 0) become_hook(context, hook, state, output[1]);
  if (output[1] >= 0) raw::close(output[1]);
  LastWords words;
  const bool in_time = wait_until_end(pidfd, hook.timeout, output[0], words);
  // With what it has started; itself also before it has a group.
  if (!in_time) {
    raw::call(SYS_kill, -pid, SIGKILL);
    raw::pidfd_send_signal(pidfd, SIGKILL);
  }
  int status = 0;
  while (raw::call(SYS_wait4, pid, &status, 0, nullptr) == -EINTR) {
  }
  raw::close(pidfd);
  if (output[0] >= 0) {
    for (int i = 0; i < kReadsOfAPipe && read_output(output[0], words); ++i) {
    }
    raw::close(output[0]);
  }
  if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  FixedText<24> number;
  number.add_number(static_cast<std::uint64_t>(!in_time            ? hook.timeout
                                               : WIFEXITED(status) ? WEXITSTATUS(status)
                                                                   : WTERMSIG(status)));
  const char* colon = words.empty() ? "" : ": ";
  if (!in_time)
    context.link.cannot_run(
        0, kFailed, {kind, " hook ", hook.path, " did not end within ", number.c_str(), " s", colon, words.c_str()});
  context.link.cannot_run(0, kFailed,
                          {kind, " hook ", hook.path, " failed: ", WIFEXITED(status) ? "exit status " : "signal ",
                           number.c_str(), colon, words.c_str()});
}

}  // namespace

void run_create_hooks(ChildContext& context) noexcept {
  context.link.send(ReportKind::mounted);
  // The launcher gave up: a hook of its own has failed.
  if (context.link.wait_for(ReportKind::hooks_done) < 0) end(kFailed);
  for (const HookToRun& hook : context.create_hooks) run_hook(context, hook, "createContainer", context.create_state);
  context.pause_for_hooks = false;
}

void run_start_hooks(ChildContext& context) noexcept {
  for (const HookToRun& hook : context.start_hooks) run_hook(context, hook, "startContainer", context.start_state);
  if (context.start_state >= 0) raw::close(context.start_state);
}

}  // namespace bryo::runtime::child

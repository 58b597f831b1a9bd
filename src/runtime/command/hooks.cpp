#include "runtime/command/hooks.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "kernel/raw.hpp"

namespace bryo::runtime::command {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// A file, not a pipe: a hook that does not read its input cannot hold us.
UniqueFd state_input(const std::string& state_json) {
  UniqueFd fd(::memfd_create("state", MFD_CLOEXEC));
  if (!fd) fail_errno("memfd_create");
  kernel::write_all(fd.get(), std::as_bytes(std::span(state_json)));
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_ = {};
};

pid_t spawn(const oci::Hook& hook, int input) {
  SpawnActions actions;
  ::posix_spawn_file_actions_adddup2(actions.get(), input, 0);
  ::posix_spawn_file_actions_addchdir_np(actions.get(), "/");
  const std::vector<std::string> path_alone = {hook.path};
  const auto arguments = pointers(hook.args.empty() ? path_alone : hook.args);
  const auto environment = pointers(hook.env);
  pid_t pid = -1;
  const int result =
      ::posix_spawn(&pid, hook.path.c_str(), actions.get(), nullptr, arguments.data(), environment.data());
  if (result != 0) throw Error::from_errno(result, fmt::format("run hook {}", printable(hook.path)));
  return pid;
}

int wait_for(pid_t pid, std::optional<int> timeout, const std::string& path) {
  if (timeout) {
    const UniqueFd pidfd(kernel::raw::pidfd_open(pid));
    struct pollfd waited = {pidfd.get(), POLLIN, 0};
    int ready = 0;
    while ((ready = ::poll(&waited, 1, *timeout * 1000)) < 0 && errno == EINTR) {
    }
    if (ready == 0) {
      kernel::send_signal(pidfd.get(), SIGKILL);
      ::waitpid(pid, nullptr, 0);
      fail(ErrorKind::unavailable, "hook {} did not end within {} s", printable(path), *timeout);
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

void run_hook(const oci::Hook& hook, const std::string& state_json, const char* kind) {
  if (!hook.path.starts_with('/'))
    fail(ErrorKind::invalid_argument, "hooks.{}: {} is not an absolute path", kind, printable(hook.path));
  const UniqueFd input = state_input(state_json);
  const int status = wait_for(spawn(hook, input.get()), hook.timeout, hook.path);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  fail(ErrorKind::internal, "{} hook {} failed: {} {}", kind, printable(hook.path),
       WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

}  // namespace

void run_hooks(std::span<const oci::Hook> hooks, const std::string& state_json, const char* kind) {
  for (const oci::Hook& hook : hooks) run_hook(hook, state_json, kind);
}

std::vector<std::string> try_hooks(std::span<const oci::Hook> hooks, const std::string& state_json, const char* kind) {
  std::vector<std::string> failures;
  for (const oci::Hook& hook : hooks) {
    try {
      run_hook(hook, state_json, kind);
    } catch (const Error& error) {
      failures.push_back(error.message());
    }
  }
  return failures;
}

void check_hooks(const oci::RuntimeSpec& spec) {
  if (spec.hooks && (!spec.hooks->create_container.empty() || !spec.hooks->start_container.empty()))
    fail(ErrorKind::unsupported, "hooks.createContainer and hooks.startContainer are not supported yet");
}

}  // namespace bryo::runtime::command

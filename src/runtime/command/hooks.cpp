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
UniqueFd state_file() {
  UniqueFd fd(::memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) fail_errno("memfd_create");
  return fd;
}

// Sealed: what one hook does with its standard input is nothing to the next.
void write_state(const UniqueFd& file, const std::string& state_json) {
  kernel::write_all(file.get(), std::as_bytes(std::span(state_json)));
  ::lseek(file.get(), 0, SEEK_SET);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    fail_errno("seal the state of a hook");
}

UniqueFd state_input(const std::string& state_json) {
  UniqueFd fd = state_file();
  write_state(fd, state_json);
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

class SpawnAttributes {
 public:
  SpawnAttributes() { ::posix_spawnattr_init(&attributes_); }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_ = {};
};

pid_t spawn(const oci::Hook& hook, int input) {
  SpawnActions actions;
  ::posix_spawn_file_actions_adddup2(actions.get(), input, 0);
  ::posix_spawn_file_actions_addchdir_np(actions.get(), "/");
  const std::vector<std::string> path_alone = {hook.path};
  const auto arguments = pointers(hook.args.empty() ? path_alone : hook.args);
  const auto environment = pointers(hook.env);
  // A group of its own: what it has started is ended with it.
  SpawnAttributes attributes;
  ::posix_spawnattr_setflags(attributes.get(), POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int result =
      ::posix_spawn(&pid, hook.path.c_str(), actions.get(), attributes.get(), arguments.data(), environment.data());
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
      ::kill(-pid, SIGKILL);
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

namespace {

void check_list(std::span<const oci::Hook> hooks, const char* kind) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const std::string& path = hooks[i].path;
    if (!path.starts_with('/') || path.find('\0') != std::string::npos)
      fail(ErrorKind::invalid_argument, "hooks.{}[{}].path: {} is not an absolute path", kind, i, printable(path));
    if (hooks[i].timeout && (*hooks[i].timeout <= 0 || *hooks[i].timeout > 1'000'000))
      fail(ErrorKind::invalid_argument, "hooks.{}[{}].timeout: {} is not a number of seconds above 0", kind, i,
           *hooks[i].timeout);
  }
}

std::vector<HookProgram> programs_of(std::span<const oci::Hook> hooks) {
  std::vector<HookProgram> out;
  for (const oci::Hook& hook : hooks)
    out.push_back(
        {hook.path, hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args, hook.env, hook.timeout});
  return out;
}

}  // namespace

void check_hooks(const oci::RuntimeSpec& spec) {
  if (!spec.hooks) return;
  check_list(spec.hooks->prestart, "prestart");
  check_list(spec.hooks->create_runtime, "createRuntime");
  check_list(spec.hooks->create_container, "createContainer");
  check_list(spec.hooks->start_container, "startContainer");
  check_list(spec.hooks->poststart, "poststart");
  check_list(spec.hooks->poststop, "poststop");
}

CreateHooks::CreateHooks(const oci::Hooks& hooks, const std::string& root_path) {
  launch_.create_container = programs_of(hooks.create_container);
  launch_.start_container = programs_of(hooks.start_container);
  launch_.root_path = root_path;
  if (!launch_.create_container.empty()) create_state_ = state_file();
  if (!launch_.start_container.empty()) start_state_ = state_file();
  launch_.create_state = create_state_.get();
  launch_.start_state = start_state_.get();
}

void CreateHooks::write_states(const std::string& create_state, const std::string& start_state) const {
  if (create_state_) write_state(create_state_, create_state);
  if (start_state_) write_state(start_state_, start_state);
}

}  // namespace bryo::runtime::command

#include "runtime/hook_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"
#include "kernel/spawn_settings.hpp"

namespace bryo::runtime {
namespace {

namespace raw = kernel::raw;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeptOutput = 512;
constexpr int kReadsOfAPipe = 16;  // of 64 KiB

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// A group of its own, so that what it has started is ended with it.
pid_t spawn(const HookProgram& hook, int input, int output) {
  kernel::SpawnSettings settings(kernel::SpawnSettings::Place::own_group);
  settings.give(input, 0).give(output, 1).give(output, 2).close_from(3).go_to("/");
  return settings.spawn(hook.path, pointers(hook.arguments).data(), pointers(hook.environment).data(),
                        fmt::format("run hook {}", printable(hook.path)));
}

void set_oom_score(pid_t pid, int score) try {
  const UniqueFd file = kernel::open_trusted(fmt::format("/proc/{}/oom_score_adj", pid), O_WRONLY);
  const std::string text = std::to_string(score);
  static_cast<void>(::write(file.get(), text.data(), text.size()) < 0);
} catch (const Error&) {
  // It has ended already (and then the file is root's).
  return;
}

siginfo_t reap(pid_t pid) {
  siginfo_t end = {};
  while (::waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED) < 0 && errno == EINTR) {
  }
  return end;
}

// False when it has not ended in time.
bool wait_for_end(RunningHook& hook, std::optional<int> seconds) {
  const auto deadline = Clock::now() + std::chrono::seconds(seconds.value_or(0));
  bool more = true;
  while (true) {
    int patience = -1;
    if (seconds) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) return false;
      patience = static_cast<int>(left);
    }
    struct pollfd waited[2] = {{hook.pidfd(), POLLIN, 0}, {more ? hook.output() : -1, POLLIN, 0}};
    if (::poll(waited, 2, patience) < 0 && errno != EINTR) fail_errno("wait for a hook");
    if (waited[1].revents != 0) more = hook.read_output();
    if (waited[0].revents != 0) return true;
  }
}

void run_hook(const HookProgram& program, const char* kind, const std::string& state,
              std::optional<int> oom_score_adj) {
  RunningHook hook(program, kind, state, oom_score_adj);
  if (!wait_for_end(hook, program.timeout)) {
    hook.kill();
    reap(hook.pid());
    fail(ErrorKind::unavailable, "{}", hook.timed_out());
  }
  if (const auto failure = hook.failure(reap(hook.pid()))) fail(ErrorKind::internal, "{}", *failure);
}

}  // namespace

std::string hook_state(const std::string& head, std::string_view status, pid_t pid) {
  return fmt::format("{},\"status\":\"{}\",\"pid\":{}}}", head, status, pid);
}

UniqueFd make_state_file() {
  UniqueFd fd(::memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) fail_errno("memfd_create");
  return fd;
}

void write_state_file(const UniqueFd& file, const std::string& state) {
  kernel::write_all(file.get(), std::as_bytes(std::span(state)));
  ::lseek(file.get(), 0, SEEK_SET);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    fail_errno("seal the state of a hook");
}

RunningHook::RunningHook(const HookProgram& hook, const char* kind, const std::string& state,
                         std::optional<int> oom_score_adj)
    : hook_(hook), kind_(kind) {
  const UniqueFd input = make_state_file();
  write_state_file(input, state);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) fail_errno("pipe for the output of a hook");
  output_.reset(ends[0]);
  const UniqueFd written(ends[1]);
  if (::fcntl(output_.get(), F_SETFL, O_NONBLOCK) < 0) fail_errno("fcntl of a pipe");
  pid_ = spawn(hook, input.get(), written.get());
  pidfd_.reset(raw::pidfd_open(pid_));
  if (!pidfd_) {
    kill();
    reap(pid_);
    throw Error::from_errno(-pidfd_.get(), fmt::format("pidfd_open of hook {}", printable(hook.path)));
  }
  if (oom_score_adj) set_oom_score(pid_, *oom_score_adj);
}

RunningHook::~RunningHook() {
  if (over_ || pid_ < 0) return;
  kill();
  reap(pid_);
}

void RunningHook::kill() const { ::kill(-pid_, SIGKILL); }

bool RunningHook::read_output() {
  char block[4096];
  const ssize_t got = ::read(output_.get(), block, sizeof block);
  if (got > 0) tail_.append(block, static_cast<std::size_t>(got));
  if (tail_.size() > kKeptOutput) tail_.erase(0, tail_.size() - kKeptOutput);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

std::string RunningHook::name() const { return fmt::format("{} hook {}", kind_, printable(hook_.path)); }

std::string RunningHook::last_words() {
  for (int i = 0; i < kReadsOfAPipe && read_output(); ++i) {
  }
  std::string text(trim(tail_));
  std::ranges::replace(text, '\n', ' ');
  return text.empty() ? "" : ": " + printable(text, kKeptOutput);
}

std::optional<std::string> RunningHook::failure(const siginfo_t& end) {
  over_ = true;
  const bool exited = end.si_code == CLD_EXITED;
  if (exited && end.si_status == 0) return std::nullopt;
  return fmt::format("{} failed: {} {}{}", name(), exited ? "exit status" : "signal", end.si_status, last_words());
}

std::string RunningHook::timed_out() {
  over_ = true;
  return fmt::format("{} did not end within {} s{}", name(), hook_.timeout.value_or(0), last_words());
}

void run_hooks(std::span<const HookProgram> hooks, const char* kind, const std::string& state,
               std::optional<int> oom_score_adj) {
  for (const HookProgram& hook : hooks) run_hook(hook, kind, state, oom_score_adj);
}

std::vector<std::string> try_hooks(std::span<const HookProgram> hooks, const char* kind, const std::string& state) {
  std::vector<std::string> failures;
  for (const HookProgram& hook : hooks) {
    try {
      run_hook(hook, kind, state, std::nullopt);
    } catch (const Error& error) {
      failures.push_back(error.message());
    }
  }
  return failures;
}

CreateHooks::CreateHooks(const HookSet& hooks, const std::string& root_path) {
  launch_.create_container = hooks.create_container;
  launch_.start_container = hooks.start_container;
  launch_.root_path = root_path;
  if (!launch_.create_container.empty()) create_state_ = make_state_file();
  if (!launch_.start_container.empty()) start_state_ = make_state_file();
  launch_.create_state = create_state_.get();
  launch_.start_state = start_state_.get();
}

void CreateHooks::write_states(const std::string& create_state, const std::string& start_state) const {
  if (create_state_) write_state_file(create_state_, create_state);
  if (start_state_) write_state_file(start_state_, start_state);
}

}  // namespace bryo::runtime

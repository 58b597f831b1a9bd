// OCI hooks that run on the host's side: programs with a clean environment, in "/", with the container's state on
// standard input and no other descriptor of ours (design/security.md D6). What they write is kept for the message of a
// failure: the end of it says why.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/launch_hooks.hpp"

namespace bryo::runtime {

// The state that a hook reads: a JSON object (`head`, without its closing brace) and what changes in it.
std::string hook_state(const std::string& head, std::string_view status, pid_t pid);

// A file, not a pipe: a hook that does not read its input cannot hold us.
UniqueFd make_state_file();
// Once. Sealed: what one hook does with its standard input is nothing to the next.
void write_state_file(const UniqueFd& file, const std::string& state);

// One hook, from its start to its end. Not waited for: it is ended with what it has started.
class RunningHook {
 public:
  // `kind`: "prestart" …, for messages. Error when there is no such program.
  RunningHook(const HookProgram& hook, const char* kind, const std::string& state,
              std::optional<int> oom_score_adj = std::nullopt);
  ~RunningHook();
  RunningHook(const RunningHook&) = delete;
  RunningHook& operator=(const RunningHook&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  // Readable when it has written something; nothing of it is needed by anybody but us.
  int output() const { return output_.get(); }
  // One read: a hook that goes on writing is not waited for. False at the end of the output.
  bool read_output();
  // Ends it and its group.
  void kill() const;

  // The caller has reaped it: how it ended (waitid(2)). nullopt: well.
  std::optional<std::string> failure(const siginfo_t& end);
  // After kill(), reaped by the caller as well.
  std::string timed_out();

 private:
  std::string name() const;
  std::string last_words();

  const HookProgram& hook_;
  const char* kind_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd output_;
  std::string tail_;
  bool over_ = false;
};

// One after the other, waiting. Error of the first that fails.
void run_hooks(std::span<const HookProgram> hooks, const char* kind, const std::string& state,
               std::optional<int> oom_score_adj = std::nullopt);
// Runs all of them; failures come back as texts.
std::vector<std::string> try_hooks(std::span<const HookProgram> hooks, const char* kind, const std::string& state);

// The hooks that stand between create and the program, with the files from which the container's own read their state.
class CreateHooks {
 public:
  CreateHooks(const HookSet& hooks, const std::string& root_path);
  LaunchHooks& launch() { return launch_; }
  // Once, after the first process was cloned.
  void write_states(const std::string& create_state, const std::string& start_state) const;

 private:
  UniqueFd create_state_;
  UniqueFd start_state_;
  LaunchHooks launch_;
};

}  // namespace bryo::runtime

// OCI hooks: programs with a clean environment, cwd "/" and the container's state on standard input (design/security.md
// D6). prestart, createRuntime, poststart and poststop are the host's and run here; createContainer and startContainer
// run in the container's namespaces, by its first process (launch_hooks.hpp). Order: OCI runtime spec, "Lifecycle".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "oci/runtime_spec.hpp"
#include "runtime/launch_hooks.hpp"

namespace bryo::runtime::command {

// Error of the first that fails.
void run_hooks(std::span<const oci::Hook> hooks, const std::string& state_json, const char* kind);
// Runs all of them; failures come back as texts.
std::vector<std::string> try_hooks(std::span<const oci::Hook> hooks, const std::string& state_json, const char* kind);
// Error{invalid_argument} names the hook that has no absolute path, or a timeout that is none.
void check_hooks(const oci::RuntimeSpec& spec);

// The hooks that stand between create and the program, with the files from which the container's own read their state.
class CreateHooks {
 public:
  CreateHooks(const oci::Hooks& hooks, const std::string& root_path);
  const LaunchHooks& launch() const { return launch_; }
  // Once, after the first process was cloned.
  void write_states(const std::string& create_state, const std::string& start_state) const;

 private:
  UniqueFd create_state_;
  UniqueFd start_state_;
  LaunchHooks launch_;
};

}  // namespace bryo::runtime::command

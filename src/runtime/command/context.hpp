// What every command of bryo-oci gets, and the table of commands.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "runtime/command/arguments.hpp"
#include "runtime/command/state.hpp"

namespace bryo::runtime::command {

struct GlobalOptions {
  std::string root = "/run/bryo-oci";
  std::string log_file;
  std::string criu = "criu";
  bool log_json = false;
  bool debug = false;
  bool cgroups = true;
  bool systemd = false;
  // Refusals of the cgroup file system are no failure, unless limits are asked for.
  bool rootless = false;
};

struct Context {
  GlobalOptions options;
  StateDirectory states;
  char** own_arguments = nullptr;  // of main
  UniqueFd& own_view;              // kernel::take_own_view(), until somebody has the time to close it
};

// For every command that clones: a container whose root is the host's must not be able to write to this program, so it
// runs from a read-only view of it. Usually it does since its first instructions (kernel/own_program_entry.cpp). Called
// once what is needed is known and before anything was made; may begin the program anew.
void protect_own_program(const Context& context, const oci::RuntimeSpec& spec);

// Each returns the exit status.
int create_command(const Context& context, std::span<const std::string> words);
int run_command(const Context& context, std::span<const std::string> words);
int start_command(const Context& context, std::span<const std::string> words);
int exec_command(const Context& context, std::span<const std::string> words);
int state_command(const Context& context, std::span<const std::string> words);
int list_command(const Context& context, std::span<const std::string> words);
int ps_command(const Context& context, std::span<const std::string> words);
int kill_command(const Context& context, std::span<const std::string> words);
int delete_command(const Context& context, std::span<const std::string> words);
int pause_command(const Context& context, std::span<const std::string> words);
int update_command(const Context& context, std::span<const std::string> words);
int events_command(const Context& context, std::span<const std::string> words);
int checkpoint_command(const Context& context, std::span<const std::string> words);
int restore_command(const Context& context, std::span<const std::string> words);
int resume_command(const Context& context, std::span<const std::string> words);
int spec_command(const Context& context, std::span<const std::string> words);
int features_command(const Context& context, std::span<const std::string> words);
int plan_command(const Context& context, std::span<const std::string> words);

// The whole program.
int run_program(int argc, char** argv);

}  // namespace bryo::runtime::command

// What every command of bryo-oci gets, and the table of commands.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/command/arguments.hpp"
#include "runtime/command/state.hpp"

namespace bryo::runtime::command {

struct GlobalOptions {
  std::string root = "/run/bryo-oci";
  std::string log_file;
  bool log_json = false;
  bool debug = false;
  bool cgroups = true;
};

struct Context {
  GlobalOptions options;
  StateDirectory states;
};

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
int resume_command(const Context& context, std::span<const std::string> words);
int spec_command(const Context& context, std::span<const std::string> words);
int features_command(const Context& context, std::span<const std::string> words);
int plan_command(const Context& context, std::span<const std::string> words);

// The whole program: words without argv[0].
int run_program(std::vector<std::string> words);

}  // namespace bryo::runtime::command

// checkpoint and restore are CRIU's work (criu(8)), a program of the host's: here is what it is told.
#pragma once

#include <string>
#include <vector>

#include "runtime/command/arguments.hpp"
#include "runtime/command/context.hpp"

namespace bryo::runtime::command {

// Options that both commands give on as they are, and whether they take a value.
struct CriuPlaces {
  std::string images;  // absolute
  std::string work;    // absolute; logs are written there
};

// The program that --criu names; Error{unsupported} says how to get it.
std::string find_criu(const std::string& name);
// Error{unsupported} for a container that CRIU's command line cannot describe: a terminal, joined namespaces.
void check_criu(const oci::RuntimeSpec& spec);
std::vector<std::string> criu_dump_arguments(const Arguments& arguments, const CriuPlaces& places,
                                             const oci::RuntimeSpec& spec, const ContainerState& state);
// `inherited`: what the old standard descriptors were ("pipe:[123]"), in their order.
std::vector<std::string> criu_restore_arguments(const Arguments& arguments, const CriuPlaces& places,
                                                const oci::RuntimeSpec& spec, const ContainerState& state,
                                                const std::vector<std::string>& inherited, const std::string& pid_file);
// Runs it to its end. Error{internal} with the last error of its log.
void run_criu(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file);

}  // namespace bryo::runtime::command

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
// What the standard descriptors are, in their order, as CRIU's options name them: "pipe:[123]", "file[1f:8f2]" for one
// that is not the container's own, else what the kernel says ("socket:[123]").
std::vector<std::string> descriptors_for_criu(pid_t pid);
std::vector<std::string> criu_dump_arguments(const Arguments& arguments, const CriuPlaces& places,
                                             const oci::RuntimeSpec& spec, const ContainerState& state,
                                             const std::vector<std::string>& descriptors);
// `inherited`: those of the dump; ours take their places.
std::vector<std::string> criu_restore_arguments(const Arguments& arguments, const CriuPlaces& places,
                                                const oci::RuntimeSpec& spec, const ContainerState& state,
                                                const std::vector<std::string>& inherited, const std::string& pid_file);
// Runs it to its end. Error{internal} with the first error of its log.
void run_criu(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_file);

}  // namespace bryo::runtime::command

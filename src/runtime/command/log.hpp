// What bryo-oci tells besides its output: the --log file, which containerd and dockerd read the last error of, in
// runc's two formats; and standard error for a person. A log that cannot be written stops nothing.
#pragma once

#include <string>

#include "runtime/command/context.hpp"

namespace bryo::runtime::command {

void log_error(const GlobalOptions& options, const std::string& message);
void log_warning(const GlobalOptions& options, const std::string& message);
// Only with --debug.
void log_debug(const GlobalOptions& options, const std::string& message);

// Stops (SIGSTOP) when the environment's BRYO_OCI_STOP_AT names this point: tests kill the program there. Whoever sets
// our environment may stop us anyway.
void stopping_point(const char* name);

}  // namespace bryo::runtime::command

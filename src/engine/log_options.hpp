// --log-driver and --log-opt: what is accepted, and what it means for the monitor that writes the log.
//
// Drivers: json-file (Docker's format, also read by others), local (kept in the same file and format), none. Options of
// both files: max-size, max-file, compress, labels, labels-regex, env, env-regex, tag, and Docker's mode and
// max-buffer-size, which change nothing here: a container never waits for its log longer than the disk does.
#pragma once

#include "engine/record.hpp"
#include "monitor/types.hpp"

namespace bryo::engine {

// Fills in the daemon's defaults. Error{invalid_argument} for an unknown driver, option or value.
void check_log(HostConfig& host, const LogConfig& fallback);
// `directory` is the container's.
monitor::LogConfig log_config(const Record& record, const std::string& directory);

}  // namespace bryo::engine

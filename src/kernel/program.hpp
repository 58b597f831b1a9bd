// Runs a program of the host to its end and returns what it printed (posix_spawn: the engine never clones). Blocking;
// any thread.
//
// The program is found in a fixed PATH, gets a fixed environment, "/" as its directory and /dev/null as its input (D6).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bryo::kernel {

// Error{invalid_argument} with what it wrote to standard error when it exits with another status than 0.
std::string run_program(const std::vector<std::string>& command, std::size_t max_output);

}  // namespace bryo::kernel

// The program: from the command line to the exit status.
#pragma once

#include <span>
#include <string>

namespace bryo::cli {

// Never throws.
int run_program(std::span<const std::string> line);

}  // namespace bryo::cli

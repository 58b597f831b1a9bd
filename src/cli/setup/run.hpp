// Programs that setup needs: systemctl, bryo-host.
#pragma once

#include <string>
#include <vector>

namespace bryo::cli {

struct Ran {
  int status = 0;      // 127: it could not be started, 128 + signal: it was ended by one
  std::string output;  // standard output and standard error together
};
// Found in PATH, or by an absolute path. With no input.
Ran run_quietly(const std::vector<std::string>& words);
// With our own standard streams.
int run_openly(const std::vector<std::string>& words);
// Where this program's file is.
std::string own_program_directory();
// DIRECTORY/bryo-host; Error{not_found} says how to get it.
std::string host_program(const std::string& directory);

}  // namespace bryo::cli

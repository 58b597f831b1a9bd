// The parent: outside, an ordinary user. Makes child and helper, gives them what only somebody outside can give (id
// maps, ports of the host, the API), and waits.
#pragma once

#include "rootless/command/options.hpp"

namespace bryo::rootless::command {

// Returns the command's exit status. Error when it could not be started; nothing is left behind then.
int run_parent(const Options& options);

}  // namespace bryo::rootless::command

// bryod's life: check the host, listen, open the engine, serve until a signal, close.
#pragma once

#include <string>
#include <vector>

namespace bryo::daemon {

// Returns the exit status; throws Error when the daemon cannot start.
int run_daemon(const std::vector<std::string>& arguments);

}  // namespace bryo::daemon

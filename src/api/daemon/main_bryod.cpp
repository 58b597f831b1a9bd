// bryod: the engine as a daemon. See daemon.hpp.
#include <cstdio>
#include <exception>

#include "api/daemon/daemon.hpp"

int main(int argc, char** argv) {
  try {
    return bryo::daemon::run_daemon({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "failed to start daemon: %s\n", error.what());
    return 1;
  }
}

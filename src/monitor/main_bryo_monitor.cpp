// bryo-monitor: stays with one container from before its start until after its end. Started by bryod only, with the
// control connection as descriptor 3 (monitor/protocol.hpp).
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "monitor/monitor_main.hpp"
#include "monitor/protocol.hpp"

int main() {
  if (::fcntl(bryo::monitor::kControlDescriptor, F_SETFD, FD_CLOEXEC) < 0) {
    std::fputs("bryo-monitor is started by bryod, one for each container; it is not called by people.\n", stderr);
    return 2;
  }
  const auto launcher = bryo::monitor::make_runtime_launcher();
  const int status = bryo::monitor::run_monitor(*launcher);
  ::_exit(status);  // nothing is left to destroy that the kernel does not
}

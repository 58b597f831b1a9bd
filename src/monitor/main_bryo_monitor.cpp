// bryo-monitor: stays with one container from before its start until after its end. Started by bryod only, with the
// control connection as descriptor 3 (monitor/protocol.hpp). Under the name bryo-bypass: the helper of
// bypass/server.hpp.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "bypass/link.hpp"
#include "bypass/server.hpp"
#include "monitor/monitor_main.hpp"
#include "monitor/protocol.hpp"

int main(int, char** arguments) {
  if (::fcntl(bryo::monitor::kControlDescriptor, F_SETFD, FD_CLOEXEC) < 0) {
    std::fputs("bryo-monitor is started by bryod, one for each container; it is not called by people.\n", stderr);
    return 2;
  }
  // One program, two processes: both are started for every container, from one sealed copy in memory.
  if (arguments[0] != nullptr && std::string_view(arguments[0]) == bryo::bypass::kProgramName) {
    static_assert(bryo::bypass::kLinkDescriptor == bryo::monitor::kControlDescriptor);
    ::close_range(bryo::bypass::kLinkDescriptor + 1, ~0U, 0);
    ::_exit(bryo::bypass::run_server(bryo::UniqueFd(bryo::bypass::kLinkDescriptor)));
  }
  const auto launcher = bryo::monitor::make_runtime_launcher();
  const int status = bryo::monitor::run_monitor(*launcher);
  ::_exit(status);  // nothing is left to destroy that the kernel does not
}

#include "engine/unanswered.hpp"

#include <fcntl.h>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/sockets.hpp"
#include "monitor/protocol.hpp"

namespace bryo::engine {

void check_answered(const Services& services, const Container& container) {
  std::string id;
  {
    const std::lock_guard lock(container.mutex);
    if (container.runs > 0) return;  // this engine has seen its monitor
    id = container.record.id;
  }
  const std::string path = services.runtime_directory(id);
  if (!kernel::try_stat_at(AT_FDCWD, path)) return;
  const UniqueFd directory = kernel::open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  const pid_t monitor = kernel::unix_socket_owner(directory.get(), std::string(monitor::kControlSocketName));
  if (monitor < 0) return;
  fail(ErrorKind::conflict,
       "container {} may be running: its monitor, process {}, has not answered this engine. Continue or end that "
       "process, and start the engine again",
       id, monitor);
}

}  // namespace bryo::engine

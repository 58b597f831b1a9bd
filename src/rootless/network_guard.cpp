#include "rootless/network_guard.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/paths.hpp"
#include "kernel/process.hpp"
#include "kernel/sockets.hpp"
#include "kernel/start_program.hpp"
#include "rootless/network_record.hpp"

namespace bryo::rootless {
namespace {

constexpr const char* kEngine = "engine";  // "PID START_TIME" of the last one
constexpr const char* kLock = "guard.lock";
constexpr std::size_t kLargest = 64;

UniqueFd process_of(pid_t pid) {
  const auto stat = kernel::process_stat(pid);
  return stat ? kernel::open_process(pid, stat->start_time) : UniqueFd();
}

UniqueFd announced_engine(int directory) {
  const UniqueFd file = kernel::open_at(directory, kEngine, O_RDONLY);
  const std::string text = kernel::read_file(file.get(), kLargest);
  const auto words = split_once(trim(text), ' ');
  const auto pid = words ? parse_integer<pid_t>(words->first) : std::nullopt;
  const auto start_time = words ? parse_integer<std::uint64_t>(words->second) : std::nullopt;
  if (!pid || !start_time)
    fail(ErrorKind::internal, "no process is named in the file {}: {}", kEngine, printable(text));
  return kernel::open_process(*pid, *start_time);
}

// Waits for it, when it runs.
bool waited_for(const UniqueFd& process) { return process && kernel::wait_for_end(process.get(), -1); }

UniqueFd surviving_monitor(const std::string& exec_root) {
  const pid_t pid = survivor(exec_root);
  return pid > 0 ? process_of(pid) : UniqueFd();
}

}  // namespace

pid_t survivor(const std::string& exec_root) {
  const std::string containers = exec_root + "/containers";
  if (!kernel::try_stat_at(AT_FDCWD, containers)) return -1;
  const UniqueFd directory = kernel::open_at(AT_FDCWD, containers, O_RDONLY | O_DIRECTORY);
  for (const auto& entry : kernel::read_directory(directory.get())) {
    const UniqueFd container = kernel::open_at(directory.get(), entry.name, O_PATH | O_DIRECTORY);
    const pid_t pid = kernel::unix_socket_owner(container.get(), "control.sock");
    if (pid > 0) return pid;
  }
  return -1;
}

void announce_engine(const std::string& state_directory) {
  const auto stat = kernel::process_stat(::getpid());
  if (!stat) fail(ErrorKind::internal, "/proc does not show this process");
  const UniqueFd directory = kernel::open_trusted(state_directory, O_RDONLY | O_DIRECTORY);
  kernel::write_file_durably(directory.get(), kEngine, fmt::format("{} {}\n", ::getpid(), stat->start_time));
}

std::vector<std::string> guard_arguments(const std::string& exec_root, const std::string& state_directory) {
  return {std::string(kGuardArgument), exec_root, state_directory};
}

int guard_network(const std::string& exec_root, const std::string& state_directory) {
  const UniqueFd directory = kernel::open_trusted(state_directory, O_RDONLY | O_DIRECTORY);
  const UniqueFd lock = kernel::open_at(directory.get(), kLock, O_RDWR | O_CREAT, 0600);
  if (!kernel::try_lock(lock.get())) return 0;
  // The engine first: before it ends it may start more monitors, and another one may have come while one was waited
  // for.
  while (waited_for(announced_engine(directory.get())) || waited_for(surviving_monitor(exec_root))) {
  }
  // The record stays: it names a process that is gone, and an engine that begins now may have written its own.
  if (const auto record = NetworkRecord::read(state_directory))
    if (const UniqueFd process = record->open()) end_process(process.get());
  return 0;
}

}  // namespace bryo::rootless

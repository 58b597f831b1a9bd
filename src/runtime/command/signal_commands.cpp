// kill, delete, pause, resume.
#include <signal.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/process.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/launch.hpp"

namespace bryo::runtime::command {
namespace {

int parse_signal(const std::string& text) {
  if (const auto number = parse_integer<int>(text)) {
    if (*number >= 0 && *number <= SIGRTMAX) return *number;
  } else {
    std::string name = text;
    for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int signal = 1; signal < SIGRTMIN; ++signal)
      if (const char* known = ::sigabbrev_np(signal); known != nullptr && name == known) return signal;
  }
  fail(ErrorKind::invalid_argument, "unknown signal \"{}\"", printable(text));
}

// A frozen process of v1 takes even SIGKILL only when it is thawed.
void thaw_to_die(const ContainerState& state) {
  if (!state.cgroups) return;
  const kernel::ContainerCgroup cgroup = cgroup_of(state);
  if (cgroup.frozen()) cgroup.thaw();
}

}  // namespace

int kill_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"all", "a", false}};
  const Arguments arguments = Arguments::parse(words, kOptions).at_least(1, "kill");
  if (arguments.positional().size() > 2)
    fail(ErrorKind::invalid_argument, "\"kill\" requires a maximum of 2 argument(s)");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  const int signal = parse_signal(arguments.positional().size() > 1 ? arguments.positional()[1] : "TERM");
  if (arguments.has("all") && state.cgroups) {
    const auto cgroup = cgroup_of(state);
    if (signal == SIGKILL) {
      if (cgroup.exists()) cgroup.kill_all();
      return 0;
    }
    for (const pid_t pid : cgroup.pids()) ::kill(pid, signal);
    return 0;
  }
  const UniqueFd init = open_init(state);
  if (!init || !kernel::send_signal(init.get(), signal)) fail(ErrorKind::conflict, "container not running");
  if (signal == SIGKILL) thaw_to_die(state);
  return 0;
}

int delete_command(const Context& context, std::span<const std::string> words) {
  constexpr Option kOptions[] = {{"force", "f", false}};
  const Arguments arguments = Arguments::parse(words, kOptions).exactly(1, "delete");
  const std::string& id = arguments.need(0, "container id");
  const bool force = arguments.has("force");
  ContainerState state;
  try {
    state = context.states.load(id);
  } catch (const Error& error) {
    if (force && error.kind() == ErrorKind::not_found) return 0;
    throw;
  }
  const Status status = status_of(state);
  // A created one has run nothing of its own yet.
  if (!force && status != Status::stopped && status != Status::created)
    fail(ErrorKind::conflict, "cannot delete container {} that is not stopped: {}", id, to_string(status));
  if (status == Status::paused) cgroup_of(state).thaw();
  destroy(context, state);
  return 0;
}

int pause_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, {}).exactly(1, "pause");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  const Status status = status_of(state);
  if (status != Status::running && status != Status::created)
    fail(ErrorKind::conflict, "container not running or created: {}", to_string(status));
  cgroup_of(state).freeze();
  return 0;
}

int resume_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, {}).exactly(1, "resume");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  if (status_of(state) != Status::paused) fail(ErrorKind::conflict, "container not paused");
  cgroup_of(state).thaw();
  return 0;
}

}  // namespace bryo::runtime::command

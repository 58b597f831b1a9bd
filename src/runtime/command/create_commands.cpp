// create, run, start.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/foreground.hpp"
#include "runtime/command/launch.hpp"
#include "runtime/command/log.hpp"
#include "runtime/command/seccomp_agent.hpp"

namespace bryo::runtime::command {
namespace {

constexpr Option kOptions[] = {{"bundle", "b", true},       {"console-socket", "", true}, {"pid-file", "", true},
                               {"preserve-fds", "", true},  {"no-pivot", "", false},      {"no-new-keyring", "", false},
                               {"no-subreaper", "", false}, {"detach", "d", false},       {"keep", "", false}};

// Those of socket activation, if they are meant for us (sd_listen_fds(3)): the container's program gets them.
int listen_descriptors() {
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr || parse_integer<pid_t>(pid) != ::getpid()) return 0;
  return std::clamp(parse_integer<int>(count).value_or(0), 0, 1000);
}

LaunchRequest read_request(const Context& context, const Arguments& arguments) {
  LaunchRequest request;
  request.id = arguments.need(0, "container id");
  request.bundle = arguments.value("bundle", ".");
  request.console_socket = arguments.value("console-socket");
  request.pid_file = arguments.value("pid-file");
  request.no_new_keyring = arguments.has("no-new-keyring");
  request.detach = arguments.has("detach");
  request.listen_descriptors = listen_descriptors();
  request.preserve = request.listen_descriptors + preserved_descriptors(context, arguments, request.listen_descriptors);
  request.no_pivot = arguments.has("no-pivot");
  return request;
}

void print_warnings(const Context& context, const Container& container) {
  for (const std::string& warning : container.warnings()) log_warning(context.options, warning);
}

}  // namespace

int create_command(const Context& context, std::span<const std::string> words) {
  const LaunchRequest request = read_request(context, Arguments::parse(words, kOptions).exactly(1, "create"));
  NewContainer made(context, request);
  if (made.spec().process->terminal && request.console_socket.empty())
    fail(ErrorKind::invalid_argument, "cannot allocate tty if runc will detach without setting console socket");
  made.launch(true);
  print_warnings(context, made.container());
  made.keep();
  return 0;
}

int run_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, kOptions).exactly(1, "run");
  const LaunchRequest request = read_request(context, arguments);
  NewContainer made(context, request);
  if (request.detach && made.spec().process->terminal && request.console_socket.empty())
    fail(ErrorKind::invalid_argument, "cannot allocate tty if runc will detach without setting console socket");
  if (!request.detach) block_forwarded_signals();
  if (!request.detach && !arguments.has("no-subreaper")) adopt_orphans();
  made.launch(false);
  made.start();
  print_warnings(context, made.container());
  if (request.detach || arguments.has("keep")) made.keep();
  if (request.detach) return 0;
  return attend(made.container().pid(), made.take_terminal());
}

int start_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, {}).exactly(1, "start");
  ContainerState state = context.states.load(arguments.need(0, "container id"));
  const Status status = status_of(state);
  if (status == Status::running || status == Status::paused)
    fail(ErrorKind::conflict, "cannot start an already running container");
  if (status == Status::stopped) fail(ErrorKind::conflict, "cannot start a container that has stopped");
  const oci::RuntimeSpec spec = context.states.load_spec(state.id);
  stopping_point("before-gate");
  open_gate(context.states.connect_to_gate(state.id).get(), state.pid, seccomp_agent(spec, state, status));
  stopping_point("after-gate");
  state.started = true;
  context.states.save(state);
  run_poststart_hooks(context, state, spec);
  return 0;
}

}  // namespace bryo::runtime::command

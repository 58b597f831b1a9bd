// create, run, start.
#include "base/error.hpp"
#include "base/strings.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/foreground.hpp"
#include "runtime/command/hooks.hpp"
#include "runtime/command/launch.hpp"
#include "runtime/command/seccomp_agent.hpp"

namespace bryo::runtime::command {
namespace {

constexpr Option kOptions[] = {{"bundle", "b", true},       {"console-socket", "", true}, {"pid-file", "", true},
                               {"preserve-fds", "", true},  {"no-pivot", "", false},      {"no-new-keyring", "", false},
                               {"no-subreaper", "", false}, {"detach", "d", false},       {"keep", "", false}};

LaunchRequest read_request(const Arguments& arguments) {
  LaunchRequest request;
  request.id = arguments.need(0, "container id");
  request.bundle = arguments.value("bundle", ".");
  request.console_socket = arguments.value("console-socket");
  request.pid_file = arguments.value("pid-file");
  request.no_new_keyring = arguments.has("no-new-keyring");
  request.detach = arguments.has("detach");
  const auto preserve = parse_integer<int>(arguments.value("preserve-fds", "0"));
  if (!preserve || *preserve < 0 || *preserve > 1000)
    fail(ErrorKind::invalid_argument, "preserve-fds: not a number of descriptors");
  request.preserve = *preserve;
  if (arguments.has("no-pivot"))
    fail(ErrorKind::unsupported, "--no-pivot is not supported: without pivot_root the host's tree stays reachable");
  return request;
}

void print_warnings(const Container& container) {
  for (const std::string& warning : container.warnings()) fmt::print(stderr, "warning: {}\n", printable(warning, 1000));
}

}  // namespace

int create_command(const Context& context, std::span<const std::string> words) {
  const LaunchRequest request = read_request(Arguments::parse(words, kOptions));
  NewContainer made(context, request);
  if (made.spec().process->terminal && request.console_socket.empty())
    fail(ErrorKind::invalid_argument, "cannot allocate tty if runc will detach without setting console socket");
  made.launch(true);
  print_warnings(made.container());
  made.keep();
  return 0;
}

int run_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, kOptions);
  const LaunchRequest request = read_request(arguments);
  NewContainer made(context, request);
  if (request.detach && made.spec().process->terminal && request.console_socket.empty())
    fail(ErrorKind::invalid_argument, "cannot allocate tty if runc will detach without setting console socket");
  if (!request.detach) block_forwarded_signals();
  made.launch(false);
  made.start();
  print_warnings(made.container());
  if (request.detach || arguments.has("keep")) made.keep();
  if (request.detach) return 0;
  return attend(made.container().pid(), made.take_terminal());
}

int start_command(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse(words, {});
  ContainerState state = context.states.load(arguments.need(0, "container id"));
  const Status status = status_of(state);
  if (status == Status::running || status == Status::paused)
    fail(ErrorKind::conflict, "cannot start an already running container");
  if (status == Status::stopped) fail(ErrorKind::conflict, "cannot start a container that has stopped");
  const oci::RuntimeSpec spec = context.states.load_spec(state.id);
  open_gate(context.states.connect_to_gate(state.id).get(), state.pid, seccomp_agent(spec, state, status));
  state.started = true;
  context.states.save(state);
  if (!spec.hooks) return 0;
  const std::string text = json::serialize(json::encode(view_of(state, spec, Status::running)));
  for (const std::string& failure : try_hooks(spec.hooks->poststart, text, "poststart"))
    fmt::print(stderr, "warning: {}\n", failure);
  return 0;
}

}  // namespace bryo::runtime::command

// exec: one more process in a running container.
#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/process.hpp"
#include "oci/runtime_spec_json.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/foreground.hpp"
#include "runtime/command/launch.hpp"
#include "runtime/command/seccomp_agent.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime::command {
namespace {

constexpr Option kOptions[] = {{"process", "p", true},
                               {"detach", "d", false},
                               {"tty", "t", false},
                               {"cwd", "", true},
                               {"env", "e", true},
                               {"user", "u", true},
                               {"additional-gids", "g", true},
                               {"cap", "c", true},
                               {"pid-file", "", true},
                               {"console-socket", "", true},
                               {"preserve-fds", "", true},
                               {"apparmor", "", true},
                               {"process-label", "", true},
                               {"no-new-privs", "", false},
                               {"no-subreaper", "", false},
                               {"ignore-paused", "", false},
                               {"cgroup", "", true}};

std::uint32_t parse_id(std::string_view text) {
  const auto id = parse_integer<std::uint32_t>(text);
  // Never a name, never anything but a whole number (CVE-2026-30892).
  if (!id) fail(ErrorKind::invalid_argument, "user: \"{}\" is not a numeric id", printable(text));
  return *id;
}

void take_user(const Arguments& arguments, oci::User& user) {
  if (arguments.has("user")) {
    const std::string text = arguments.value("user");
    const auto pair = split_once(text, ':');
    user.uid = parse_id(pair ? pair->first : std::string_view(text));
    user.gid = pair ? parse_id(pair->second) : 0;
    user.additional_gids.clear();
  }
  for (const std::string& gid : arguments.values("additional-gids")) user.additional_gids.push_back(parse_id(gid));
}

void take_capabilities(const Arguments& arguments, oci::Process& process) {
  if (!arguments.has("cap")) return;
  if (!process.capabilities) process.capabilities.emplace();
  for (const std::string& name : arguments.values("cap")) {
    process.capabilities->bounding.push_back(name);
    process.capabilities->effective.push_back(name);
    process.capabilities->permitted.push_back(name);
  }
}

oci::Process read_process(const Arguments& arguments, const oci::RuntimeSpec& spec) {
  if (arguments.has("process")) {
    const UniqueFd fd = kernel::open_trusted(arguments.value("process"), O_RDONLY);
    oci::Process process = oci::parse_process(kernel::read_file(fd.get(), 16 * 1024 * 1024));
    if (arguments.has("tty")) process.terminal = true;
    return process;
  }
  oci::Process process = *spec.process;
  arguments.need(1, "process args");
  process.args.assign(arguments.positional().begin() + 1, arguments.positional().end());
  process.terminal = arguments.has("tty");
  process.console_size.reset();
  if (arguments.has("cwd")) process.cwd = arguments.value("cwd");
  for (const std::string& variable : arguments.values("env")) process.env.push_back(variable);
  take_user(arguments, process.user);
  take_capabilities(arguments, process);
  if (arguments.has("apparmor")) process.apparmor_profile = arguments.value("apparmor");
  if (arguments.has("process-label")) process.selinux_label = arguments.value("process-label");
  if (arguments.has("no-new-privs")) process.no_new_privileges = true;
  return process;
}

std::string plain(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

// --cgroup CONTROLLER[,CONTROLLER…]:PATH, once for each that has a path of its own (v1).
std::map<std::string, std::string> controller_paths(const Arguments& arguments) {
  std::map<std::string, std::string> out;
  for (const std::string& text : arguments.values("cgroup")) {
    const auto pair = split_once(text, ':');
    if (!pair && arguments.values("cgroup").size() == 1) return {};
    if (!pair || pair->second.find(':') != std::string_view::npos || plain(pair->second).empty())
      fail(ErrorKind::invalid_argument, "--cgroup {}: use PATH once, or CONTROLLER:PATH for each controller",
           printable(text));
    for (const std::string_view controller : split(pair->first, ','))
      if (out.emplace(controller, plain(pair->second)).first->second != plain(pair->second))
        fail(ErrorKind::invalid_argument, "--cgroup {}: a second path for {}", printable(text), printable(controller));
  }
  return out;
}

// --cgroup: one that the container has made below its own.
kernel::ContainerCgroup cgroup_for(const Arguments& arguments, const ContainerState& state) {
  const std::string below = plain(arguments.value("cgroup"));
  if (below.empty()) return cgroup_of(state);
  auto cgroup = kernel::ContainerCgroup::open(kernel::CgroupLayout::once(), state.cgroup_path + "/" + below);
  if (!cgroup.exists())
    fail(ErrorKind::not_found, "--cgroup {}: the container has no such cgroup below {}", printable(below),
         state.cgroup_path);
  return cgroup;
}

// Where the new process goes: descriptors of v1, or the directory of v2.
struct Placement {
  std::vector<UniqueFd> procs;
  UniqueFd directory;
};
Placement placement_for(const Arguments& arguments, const ContainerState& state) {
  const auto by_controller = controller_paths(arguments);
  if (!by_controller.empty()) {
    try {
      return {cgroup_of(state).open_procs(by_controller), {}};
    } catch (const Error& error) {
      throw error.within("--cgroup");
    }
  }
  const auto cgroup = cgroup_for(arguments, state);
  return {cgroup.open_procs(), cgroup.open_directory()};
}

void check_running(const ContainerState& state, bool paused_is_fine) {
  const Status status = status_of(state);
  if (status == Status::stopped) fail(ErrorKind::conflict, "cannot exec in a stopped container");
  if (status == Status::paused && !paused_is_fine)
    fail(ErrorKind::conflict, "cannot exec in a paused container (use --ignore-paused to override)");
}

// To whom the caller has named: the terminal's master, and the number of the process.
void tell_of(const Arguments& arguments, pid_t pid, UniqueFd& terminal) {
  const std::string console = arguments.value("console-socket");
  if (terminal && !console.empty()) {
    send_to_console_socket(console, terminal.get());
    terminal.reset();
  }
  if (const std::string pid_file = arguments.value("pid-file"); !pid_file.empty()) write_pid_file(pid_file, pid);
}

int run_exec(const Context& context, std::span<const std::string> words) {
  const Arguments arguments = Arguments::parse_first(words, kOptions).at_least(1, "exec");
  const ContainerState state = context.states.load(arguments.need(0, "container id"));
  check_running(state, arguments.has("ignore-paused"));
  const oci::RuntimeSpec spec = context.states.load_spec(state.id);
  protect_own_program(context, spec);
  const oci::Process process = read_process(arguments, spec);
  const std::string console = arguments.value("console-socket");
  if (arguments.has("detach") && process.terminal && console.empty())
    fail(ErrorKind::invalid_argument, "cannot allocate tty if runc will detach without setting console socket");
  PlanOptions options;
  options.keyring_name = "_ses." + state.id;
  options.no_new_keyring = state.no_new_keyring;
  const ExecPlan plan = make_exec_plan(process, spec, gather_host_facts(DeviceNodes::left_out), options);

  ExecInputs inputs;
  inputs.stdio = {0, 1, 2};
  Placement place;
  if (state.cgroups) {
    place = placement_for(arguments, state);
    for (const UniqueFd& fd : place.procs) inputs.cgroup.procs.push_back(fd.get());
    inputs.cgroup.directory = place.directory ? place.directory.get() : -1;
  }
  std::vector<int> preserved;
  const int preserve = preserved_descriptors(context, arguments, 0);
  for (int i = 0; i < preserve; ++i) preserved.push_back(3 + i);
  inputs.preserved = preserved;
  inputs.on_listener = seccomp_agent(spec, state, Status::running);
  const UniqueFd init = open_init(state);
  if (!init) fail(ErrorKind::conflict, "cannot exec in a stopped container");
  if (!arguments.has("detach")) block_forwarded_signals();
  ExecProcess started = ExecProcess::start(plan, init.get(), inputs);
  for (const std::string& warning : started.warnings()) fmt::print(stderr, "warning: {}\n", printable(warning, 1000));
  UniqueFd terminal = started.take_pty_master();
  try {
    tell_of(arguments, started.pid(), terminal);
  } catch (const Error&) {
    // Whoever is told that it failed looks after no process.
    kernel::send_signal(started.pidfd(), SIGKILL);
    throw;
  }
  if (arguments.has("detach")) return 0;
  return attend(started.pid(), std::move(terminal));
}

}  // namespace

int exec_command(const Context& context, std::span<const std::string> words) {
  try {
    return run_exec(context, words);
  } catch (const Error& error) {
    // 255 is how runc says that it was not the program that failed; 126 and 127 say more.
    constexpr int kExecFailed = 255;
    const Error outer = error.within("exec failed");
    throw outer.exit_code() != 0 ? outer : outer.with_exit_code(kExecFailed);
  }
}

}  // namespace bryo::runtime::command

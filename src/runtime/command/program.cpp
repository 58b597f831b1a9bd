// bryo-oci as a program: global options, the table of commands, and how failures are told.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/own_program.hpp"
#include "runtime/command/context.hpp"
#include "runtime/command/log.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime::command {
namespace {

struct Command {
  std::string_view name;
  int (*run)(const Context&, std::span<const std::string>);
  std::string_view help;
};

constexpr Command kCommands[] = {
    {"checkpoint", checkpoint_command, "save a running container (with CRIU)"},
    {"create", create_command, "make a container and stop before its program"},
    {"delete", delete_command, "remove what a container left"},
    {"events", events_command, "show what a container uses, and when the OOM killer strikes"},
    {"exec", exec_command, "run one more process in a container"},
    {"features", features_command, "show what this runtime supports"},
    {"kill", kill_command, "send a signal to a container's init (default: TERM)"},
    {"list", list_command, "list containers"},
    {"pause", pause_command, "freeze all processes of a container"},
    {"plan", plan_command, "show every step that starting a bundle would take"},
    {"ps", ps_command, "show the processes of a container"},
    {"restore", restore_command, "bring a saved container back (with CRIU)"},
    {"resume", resume_command, "thaw a paused container"},
    {"run", run_command, "create and start a container"},
    {"spec", spec_command, "write a config.json to begin with"},
    {"start", start_command, "run the program of a created container"},
    {"state", state_command, "show the state of a container"},
    {"update", update_command, "change the limits of a container"},
};

constexpr Option kGlobalOptions[] = {
    {"root", "", true},     {"log", "", true},           {"log-format", "", true}, {"debug", "", false},
    {"rootless", "", true}, {"version", "v", false},     {"help", "h", false},     {"systemd-cgroup", "", false},
    {"criu", "", true},     {"cgroup-manager", "", true}};

void print_help() {
  fmt::print("usage: bryo-oci [global options] COMMAND [options] [arguments]\n\ncommands:\n");
  for (const Command& command : kCommands) fmt::print("  {:<10} {}\n", command.name, command.help);
  fmt::print(
      "\nglobal options:\n"
      "  --root DIR              where containers are remembered (default /run/bryo-oci)\n"
      "  --log FILE              write messages there\n"
      "  --log-format text|json  how (default text)\n"
      "  --criu PROGRAM          for checkpoint and restore (default criu)\n"
      "  --rootless true|false|auto\n"
      "                          go without cgroups where they are refused (default auto)\n"
      "  --systemd-cgroup        ask systemd for cgroups; linux.cgroupsPath is slice:prefix:name\n"
      "  --cgroup-manager cgroupfs|systemd|disabled\n"
      "  --debug, --version, --help\n");
}

void print_version() { fmt::print("bryo-oci version {}\nspec: {}\n", BRYO_VERSION, oci::kRuntimeSpecVersion); }

// Another user, or root of a user namespace that has not all ids.
bool is_rootless(const std::string& option) {
  if (option != "auto" && option != "true" && option != "false")
    fail(ErrorKind::invalid_argument, "invalid rootless: {} (true, false or auto)", printable(option));
  if (option != "auto") return option == "true";
  return ::geteuid() != 0 || in_user_namespace();
}

std::string default_root(bool rootless) {
  const char* own = std::getenv("XDG_RUNTIME_DIR");
  return rootless && own != nullptr && *own == '/' ? std::string(own) + "/bryo-oci" : GlobalOptions().root;
}

GlobalOptions read_options(const Arguments& arguments) {
  GlobalOptions out;
  out.rootless = is_rootless(arguments.value("rootless", "auto"));
  out.root = arguments.value("root", default_root(out.rootless));
  out.log_file = arguments.value("log");
  out.criu = arguments.value("criu", out.criu);
  const std::string format = arguments.value("log-format", "text");
  if (format != "text" && format != "json")
    fail(ErrorKind::invalid_argument, "invalid log-format: {} (text or json)", format);
  out.log_json = format == "json";
  out.debug = arguments.has("debug");
  const std::string manager = arguments.value("cgroup-manager", "cgroupfs");
  if (manager != "cgroupfs" && manager != "systemd" && manager != "disabled")
    fail(ErrorKind::unsupported, "cgroup manager {} is not supported (cgroupfs, systemd, disabled)", manager);
  out.cgroups = manager != "disabled";
  out.systemd = arguments.has("systemd-cgroup") || manager == "systemd";
  return out;
}

const Command& find_command(const std::string& name) {
  for (const Command& command : kCommands)
    if (command.name == name) return command;
  fail(ErrorKind::invalid_argument, "No help topic for '{}'", name);
}

}  // namespace

void protect_own_program(const Context& context, const oci::RuntimeSpec& spec) {
  const auto& namespaces = spec.linux_->namespaces;
  // Under a map, the container's root may not write to a file of the host's root.
  const bool mapped = std::ranges::any_of(namespaces, [](const auto& entry) { return entry.type == "user"; });
  if (!mapped) kernel::run_from_read_only_view(context.own_arguments);
}

int run_program(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  GlobalOptions options;
  try {
    // Nobody of a container may look into us (CVE-2019-5736, CVE-2016-9962).
    ::prctl(PR_SET_DUMPABLE, 0);
    // After a start from a descriptor the kernel calls us by its number.
    ::prctl(PR_SET_NAME, "bryo-oci");
    const Arguments arguments = Arguments::parse_first(words, kGlobalOptions);
    if (arguments.has("version")) return print_version(), 0;
    if (arguments.has("help") || arguments.positional().empty()) return print_help(), 0;
    options = read_options(arguments);
    UniqueFd own_view = kernel::take_own_view();
    const Context context{options, StateDirectory(options.root), argv, own_view};
    const std::vector<std::string>& rest = arguments.positional();
    const Command& command = find_command(rest[0]);
    if (rest.size() > 1 && (rest[1] == "--help" || rest[1] == "-h"))
      return fmt::print("bryo-oci {}: {}\n", command.name, command.help), 0;
    // Not its words: a variable of exec may be a secret.
    log_debug(options, fmt::format("command {}", command.name));
    return command.run(context, std::span(rest).subspan(1));
  } catch (const Error& error) {
    log_error(options, error.message());
    return error.exit_code() != 0 ? error.exit_code() : 1;
  }
}

}  // namespace bryo::runtime::command

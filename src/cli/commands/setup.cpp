// bryo setup: Bryo for this user, or for the machine, and the way back.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/completion_texts.hpp"
#include "cli/commands/context.hpp"
#include "cli/commands/setup_steps.hpp"
#include "cli/setup/contents.hpp"
#include "cli/setup/run.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"no-start", 0, &kFlag, "", "Install, and start nothing"},
    {"prefix", 0, &kText, "", "Install below this directory", "~/.local, or /usr/local with --system"},
    {"purge", 0, &kFlag, "", "With --uninstall: delete images, containers, volumes and the configuration too"},
    {"skip-check", 0, &kFlag, "", "Install although containers cannot run on this host yet"},
    {"system", 0, &kFlag, "", "For the whole machine, as root"},
    {"uninstall", 0, &kFlag, "", "Take everything back that bryo setup made"},
    {"use-context", 0, &kFlag, "", "Let the docker command use Bryo from now on"},
    {"yes", 'y', &kFlag, "", "Do not ask"},
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_own_directory(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
}

SetupPlaces places_of(const Arguments& arguments) {
  const bool root = ::geteuid() == 0, system = arguments.flag("system");
  if (root && !system)
    fail(ErrorKind::invalid_argument,
         "root installs for the whole machine: say --system, or run bryo setup as the user that it is for");
  if (!root && system) fail(ErrorKind::permission, "--system wants root: sudo bryo setup --system");
  const std::string prefix = arguments.text("prefix");
  if (system) return system_places(prefix);
  SetupPlaces places = user_places(::geteuid(), prefix, variable);
  // As bryod does: without a runtime directory it makes one in /tmp.
  if (variable("XDG_RUNTIME_DIR").empty() && !is_own_directory(fmt::format("/run/user/{}", ::geteuid())))
    places.exec_root = fmt::format("/tmp/bryo-{}/bryo", ::geteuid());
  return places;
}

std::vector<WantedFile> completion_files(const SetupPlaces& places) {
  return {{places.completions + "/bash-completion/completions/bryo", bash_completion(), 0644},
          {places.completions + "/zsh/site-functions/_bryo", zsh_completion(), 0644},
          {places.completions + "/fish/vendor_completions.d/bryo.fish", fish_completion(), 0644}};
}

void append(std::vector<WantedFile>& to, std::vector<WantedFile> more) {
  for (WantedFile& file : more) to.push_back(std::move(file));
}

std::vector<WantedFile> everything(const SetupPlaces& places) {
  auto files = program_files(places, own_program_directory());
  append(files, unit_files(places));
  append(files, completion_files(places));
  append(files, docker_context_files(places));
  return files;
}

int install(Context& context, const SetupPlaces& places, const Arguments& arguments) {
  Installation installation(places.manifest);
  if (installation.exists() && installation.manifest().prefix != places.prefix)
    fail(ErrorKind::conflict, "Bryo is installed below {}: take that back first, with bryo setup --uninstall",
         installation.manifest().prefix);
  installation.manifest().prefix = places.prefix;
  const auto changed = installation.install(everything(places));
  // The installed programs are asked: what AppArmor and mounts allow depends on where they are.
  if (!arguments.flag("skip-check") && !host_is_ready(context, places)) {
    installation.roll_back();
    context.err.print("\nNothing was installed. Mend what is missing and run bryo setup again, or say --skip-check.\n");
    return 1;
  }
  for (const std::string& path : changed)
    context.err.print("{} was changed since it was installed, and stays as it is\n", path);
  context.out.print("Installed below {}\n", places.prefix);
  if (arguments.flag("use-context")) use_docker_context(context, installation);
  finish_install(context, places, !arguments.flag("no-start"));
  return 0;
}

int run_setup(Context& context, const Arguments& arguments) {
  const SetupPlaces places = places_of(arguments);
  if (!arguments.flag("uninstall")) {
    for (const char* option : {"purge", "yes"})
      if (arguments.flag(option)) fail(ErrorKind::invalid_argument, "--{} goes with --uninstall only", option);
    if (places.system && arguments.flag("use-context"))
      fail(ErrorKind::invalid_argument, "--use-context is for users: the docker command of root needs no context");
    return install(context, places, arguments);
  }
  return uninstall(context, places, {arguments.flag("purge"), arguments.flag("yes")});
}

}  // namespace

const Command kSetup = {.names = "setup",
                        .usage = "[OPTIONS]",
                        .summary = "Install Bryo for this user, or take it away again",
                        .options = kRows,
                        .maximum = 0,
                        .run = run_setup};

}  // namespace bryo::cli

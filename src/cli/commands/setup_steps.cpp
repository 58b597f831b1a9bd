#include "cli/commands/setup_steps.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/files/disk.hpp"
#include "cli/format/escape.hpp"
#include "cli/setup/run.hpp"
#include "cli/setup/service.hpp"

namespace bryo::cli {
namespace {

constexpr std::string_view kContextField = "currentContext";

bool in_path(const std::string& directory) {
  const char* path = std::getenv("PATH");
  if (path == nullptr) return false;
  for (const std::string_view one : split(path, ':'))
    if (one == directory) return true;
  return false;
}

}  // namespace

bool host_is_ready(Context& context, const SetupPlaces& places) {
  const Ran ran = run_quietly({host_program(places.programs), "doctor"});
  if (ran.status == 0) return true;
  context.out.write(ran.output);
  context.out.flush();
  return false;
}

void use_docker_context(Context& context, Installation& installation) {
  ConfigFile& config = context.config();
  const std::string before = config.text(kContextField);
  if (before == "bryo") return;
  installation.manifest().previous_context = before;
  installation.save();
  config.set_text(kContextField, "bryo");
  context.out.print("The docker command uses Bryo now (context bryo; before: {})\n",
                    before.empty() ? "default" : terminal_safe(before));
}

void finish_install(Context& context, const SetupPlaces& places, bool start) {
  const Service service(places);
  if (!start) {
    context.out.print("Not started, as you said\n");
  } else if (service.managed()) {
    service.start();
    context.out.print("Started bryo.service of systemd; it starts by itself from now on\n");
  } else {
    context.out.print("There is no {} here: start the engine with\n  {}\n",
                      places.system ? "systemd" : "user manager of systemd", service.start_command());
  }
  if (!in_path(places.programs))
    context.out.print("{0} is not in your PATH:\n  export PATH={0}:$PATH\n", places.programs);
}

}  // namespace bryo::cli

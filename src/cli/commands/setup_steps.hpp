// The steps of `bryo setup` that talk: to the host, to the engine, and to the person.
#pragma once

#include "cli/commands/context.hpp"
#include "cli/setup/installation.hpp"
#include "cli/setup/places.hpp"

namespace bryo::cli {

// Runs the installed doctor; prints what it found only when containers cannot run.
bool host_is_ready(Context& context, const SetupPlaces& places);
// Makes "bryo" the docker client's current context, and remembers which one was.
void use_docker_context(Context& context, Installation& installation);
// Starts the service, or says how to start the engine; says what the shell lacks.
void finish_install(Context& context, const SetupPlaces& places, bool start);

struct UninstallOptions {
  bool purge = false;
  bool yes = false;
};
// Ends containers (after asking) and the engine, and removes what setup made. The status of the program.
int uninstall(Context& context, SetupPlaces places, const UninstallOptions& options);

}  // namespace bryo::cli

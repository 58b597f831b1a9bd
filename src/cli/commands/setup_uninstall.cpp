#include <fmt/format.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/setup_steps.hpp"
#include "cli/commands/values.hpp"
#include "cli/files/disk.hpp"
#include "cli/format/escape.hpp"
#include "cli/setup/run.hpp"
#include "cli/setup/service.hpp"

namespace bryo::cli {
namespace {

// What daemon.json says, else the usual place.
std::string data_root_of(const SetupPlaces& places) {
  const auto text = read_whole_file(places.configuration + "/daemon.json");
  if (!text) return places.data_root;
  try {
    const std::string root = text_at(json::parse(*text), "data-root");
    return root.empty() ? places.data_root : root;
  } catch (const Error&) {
    return places.data_root;  // bryod cannot have read it either
  }
}

struct Container {
  std::string id, name;
};

std::vector<Container> running_containers(Client& client) {
  const json::Value list = client.get("/containers/json").json();
  std::vector<Container> out;
  for (const json::Value& one : list.as_array()) {
    const auto names = texts_at(one, "Names");
    const std::string id = text_at(one, "Id");
    out.push_back({id, names.empty() ? id : names.front().substr(names.front().starts_with('/') ? 1 : 0)});
  }
  return out;
}

// False: the person said no.
bool stop_containers(Context& context, const SetupPlaces& places, bool yes) {
  Client client({Endpoint::parse("unix://" + places.socket()), {}, {}, std::nullopt});
  const auto containers = running_containers(client);
  if (containers.empty()) return true;
  std::string names;
  for (const Container& one : containers) names += " " + terminal_safe(one.name);
  context.out.print("These containers are running:{}\n", names);
  if (!yes && !confirm(context, "Stop them?")) return false;
  for (const Container& one : containers) client.post("/containers/" + one.id + "/stop").text();
  return true;
}

bool agrees_to_purge(Context& context, const std::vector<std::string>& paths, bool yes) {
  context.out.print("This deletes images, containers, volumes and the configuration, for ever:\n");
  for (const std::string& path : paths) context.out.print("  {}\n", terminal_safe(path));
  return yes || confirm(context, "Delete them?");
}

void give_context_back(Context& context, const Manifest& manifest) {
  if (!manifest.previous_context || context.config().text("currentContext") != "bryo") return;
  context.config().set_text("currentContext", *manifest.previous_context);
}

void remove_trees(const SetupPlaces& places, const std::vector<std::string>& paths) {
  std::vector<std::string> command{host_program(places.programs), "remove"};
  for (const std::string& path : paths)
    if (is_there(path)) command.push_back(path);
  if (command.size() == 2) return;
  const Ran ran = run_quietly(command);
  if (ran.status != 0) fail(ErrorKind::internal, "{}", printable(trim(ran.output), 1000));
}

}  // namespace

int uninstall(Context& context, SetupPlaces places, const UninstallOptions& options) {
  Installation installation(places.manifest);
  if (!installation.exists()) {
    context.out.print("Nothing to take back: there is no {}\n", places.manifest);
    return 0;
  }
  places.prefix = installation.manifest().prefix;
  places.programs = places.prefix + "/bin";
  const Service service(places);
  std::vector<std::string> doomed;
  if (options.purge) {
    for (const std::string& path : {data_root_of(places), places.configuration})
      if (is_there(path)) doomed.push_back(path);
    if (!doomed.empty() && !agrees_to_purge(context, doomed, options.yes)) return 1;
  }
  if (service.process() != 0 && !stop_containers(context, places, options.yes)) return 1;
  service.stop();
  doomed.push_back(places.exec_root);
  remove_trees(places, doomed);
  give_context_back(context, installation.manifest());
  const auto kept = installation.uninstall();
  service.forget();
  for (const std::string& path : kept)
    context.err.print("{} was changed since it was installed, and stays\n", terminal_safe(path));
  const std::string data = data_root_of(places);
  if (!options.purge && is_there(data))
    context.out.print("Images, containers and volumes are still in {}\n", terminal_safe(data));
  context.out.print("Bryo is no longer installed below {}\n", places.prefix);
  return 0;
}

}  // namespace bryo::cli

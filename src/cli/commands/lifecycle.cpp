// stop, restart, kill, rm, pause, unpause, rename, wait: a request per container.
#include <fmt/format.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/foreground.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/parallel.hpp"

namespace bryo::cli {
namespace {

constexpr Option kStopRows[] = {
    {"signal", 's', &kText, "", "Signal to send"},
    {"time", 0, nullptr, "", "", "", "timeout"},
    {"timeout", 't', &kInteger, "", "Seconds to wait before killing"},
};
constexpr Option kKillRows[] = {{"signal", 's', &kText, "", "Signal to send", "\"KILL\""}};
constexpr Option kRemoveRows[] = {
    {"force", 'f', &kFlag, "", "Kill it first, when it runs"},
    {"link", 'l', &kFlag, "", "Remove the link, not the container"},
    {"volumes", 'v', &kFlag, "", "Remove its anonymous volumes too"},
};

int stop_or_restart(Context& context, const Arguments& arguments, const char* verb) {
  Query query;
  const auto seconds = arguments.number("timeout");
  if (seconds) query.add("t", std::to_string(*seconds));
  if (arguments.given("signal")) {
    context.client().require(42, "--signal");
    query.add("signal", arguments.text("signal"));
  }
  return request_for_each(context, arguments.words(), [&](const std::string& name) {
    return make_request("POST", container_path(name, verb) + query.str());
  });
}

int run_stop(Context& context, const Arguments& arguments) { return stop_or_restart(context, arguments, "/stop"); }
int run_restart(Context& context, const Arguments& arguments) {
  return stop_or_restart(context, arguments, "/restart");
}

int run_kill(Context& context, const Arguments& arguments) {
  const Query query = Query().add_if(arguments.given("signal"), "signal", arguments.text("signal"));
  return request_for_each(context, arguments.words(), [&](const std::string& name) {
    return make_request("POST", container_path(name, "/kill") + query.str());
  });
}

int run_remove(Context& context, const Arguments& arguments) {
  const Query query = Query()
                          .add_if(arguments.flag("volumes"), "v", "1")
                          .add_if(arguments.flag("link"), "link", "1")
                          .add_if(arguments.flag("force"), "force", "1");
  const bool force = arguments.flag("force");
  return request_for_each(context, arguments.words(), force ? ErrorKind::not_found : ErrorKind::gone,
                          [&](const std::string& word) {
                            std::string_view name = word;
                            while (name.starts_with('/')) name.remove_prefix(1);
                            if (name.empty()) fail(ErrorKind::invalid_argument, "container name cannot be empty");
                            return make_request("DELETE", container_path(name) + query.str());
                          });
}

int run_pause(Context& context, const Arguments& arguments) {
  return request_for_each(context, arguments.words(),
                          [](const std::string& name) { return make_request("POST", container_path(name, "/pause")); });
}

int run_unpause(Context& context, const Arguments& arguments) {
  return request_for_each(context, arguments.words(), [](const std::string& name) {
    return make_request("POST", container_path(name, "/unpause"));
  });
}

int run_rename(Context& context, const Arguments& arguments) {
  const std::string old_name(trim(arguments.words()[0]));
  const std::string new_name(trim(arguments.words()[1]));
  if (old_name.empty() || new_name.empty())
    fail(ErrorKind::invalid_argument, "Error: Neither old nor new names may be empty");
  try {
    context.client().post(container_path(old_name, "/rename") + Query().add("name", new_name).str());
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("{}\nError: failed to rename container named {}", error.message(), printable(old_name)));
  }
  return 0;
}

int run_wait(Context& context, const Arguments& arguments) {
  return for_each_name(context, arguments.words(), [&](const std::string& name) {
    context.out.print("{}\n", status_of(context.client().post(container_path(name, "/wait")).json()));
    context.out.flush();
  });
}

constexpr const char* kContainers = "[OPTIONS] CONTAINER [CONTAINER...]";
constexpr const char* kContainersOnly = "CONTAINER [CONTAINER...]";

}  // namespace

const Command kStop = {.names = "stop|container stop",
                       .usage = kContainers,
                       .summary = "Stop running containers",
                       .options = kStopRows,
                       .minimum = 1,
                       .run = run_stop};
const Command kRestart = {.names = "restart|container restart",
                          .usage = kContainers,
                          .summary = "Stop containers and start them again",
                          .options = kStopRows,
                          .minimum = 1,
                          .run = run_restart};
const Command kKill = {.names = "kill|container kill",
                       .usage = kContainers,
                       .summary = "Kill running containers",
                       .options = kKillRows,
                       .minimum = 1,
                       .run = run_kill};
const Command kRemove = {.names = "rm|container rm|container remove",
                         .usage = kContainers,
                         .summary = "Remove containers",
                         .options = kRemoveRows,
                         .minimum = 1,
                         .run = run_remove};
const Command kPause = {.names = "pause|container pause",
                        .usage = kContainersOnly,
                        .summary = "Freeze every process of containers",
                        .minimum = 1,
                        .run = run_pause};
const Command kUnpause = {.names = "unpause|container unpause",
                          .usage = kContainersOnly,
                          .summary = "Let paused containers go on",
                          .minimum = 1,
                          .run = run_unpause};
const Command kRename = {.names = "rename|container rename",
                         .usage = "CONTAINER NEW_NAME",
                         .summary = "Rename a container",
                         .minimum = 2,
                         .maximum = 2,
                         .run = run_rename};
const Command kWait = {.names = "wait|container wait",
                       .usage = kContainersOnly,
                       .summary = "Wait until containers stop, and print their exit statuses",
                       .minimum = 1,
                       .run = run_wait};

}  // namespace bryo::cli

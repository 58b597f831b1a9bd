#include <fmt/format.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/foreground.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"attach", 'a', &kFlag, "", "Attach to the output and pass signals on"},
    {"detach-keys", 0, &kText, "", "Keys that leave the container running"},
    {"interactive", 'i', &kFlag, "", "Attach the container's standard input"},
};

int start_attached(Context& context, const Arguments& arguments) {
  if (arguments.words().size() > 1)
    fail(ErrorKind::invalid_argument, "you cannot start and attach multiple containers at once");
  const json::Value container = context.client().get(container_path(arguments.words()[0], "/json")).json();
  const std::string id = text_at(container, "Id");
  const bool terminal = flag_at(container, "Config.Tty");
  const bool input = arguments.flag("interactive") && flag_at(container, "Config.OpenStdin");
  const std::string keys = arguments.text("detach-keys");
  Foreground foreground(context, {.target = container_path(id),
                                  .terminal = terminal,
                                  .input = input,
                                  .proxy_signals = !terminal,
                                  .detach_keys = keys});
  const Query query = Query()
                          .add("stream", "1")
                          .add_if(input, "stdin", "1")
                          .add("stdout", "1")
                          .add("stderr", "1")
                          .add_if(!keys.empty(), "detachKeys", keys);
  const auto stream = open_stream(context.client(), container_path(id, "/attach") + query.str());
  const bool removed = flag_at(container, "HostConfig.AutoRemove");
  Answer exit = context.client().post(container_path(id, "/wait") +
                                      Query().add("condition", removed ? "removed" : "next-exit").str());
  context.client().post(container_path(id, "/start") + Query().add_if(!keys.empty(), "detachKeys", keys).str());
  if (terminal && context.out.is_terminal()) foreground.resize();
  foreground.make_raw();
  if (foreground.run(*stream) == StreamSession::End::detached) return 0;
  return status_of(foreground.wait(exit));
}

int run_start(Context& context, const Arguments& arguments) {
  if (arguments.flag("attach") || arguments.flag("interactive")) return start_attached(context, arguments);
  std::vector<std::string> failed;
  for_each_printed(context, arguments.words(), [&](const std::string& name) {
    failed.push_back(name);
    context.client().post(container_path(name, "/start"));
    failed.pop_back();
  });
  if (!failed.empty()) fail(ErrorKind::internal, "Error: failed to start containers: {}", join(failed, ", "));
  return 0;
}

}  // namespace

const Command kStart = {.names = "start|container start",
                        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
                        .summary = "Start containers that are stopped",
                        .options = kRows,
                        .minimum = 1,
                        .run = run_start};

}  // namespace bryo::cli

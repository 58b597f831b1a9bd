#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/foreground.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"detach-keys", 0, &kText, "", "Keys that leave the container running"},
    {"no-stdin", 0, &kFlag, "", "Do not attach standard input"},
    {"sig-proxy", 0, &kFlag, "", "Pass signals on to the process", "true"},
};

json::Value running_container(Context& context, const std::string& name) {
  json::Value container = context.client().get(container_path(name, "/json")).json();
  if (!flag_at(container, "State.Running"))
    fail(ErrorKind::conflict, "You cannot attach to a stopped container, start it first");
  if (flag_at(container, "State.Paused"))
    fail(ErrorKind::conflict, "You cannot attach to a paused container, unpause it first");
  if (flag_at(container, "State.Restarting"))
    fail(ErrorKind::conflict, "You cannot attach to a restarting container, wait until it is running");
  return container;
}

int run_attach(Context& context, const Arguments& arguments) {
  const json::Value container = running_container(context, arguments.words()[0]);
  const std::string id = text_at(container, "Id");
  const bool terminal = flag_at(container, "Config.Tty");
  const bool input = !arguments.flag("no-stdin") && flag_at(container, "Config.OpenStdin");
  require_terminal_input(input, terminal);
  const std::string keys = arguments.text("detach-keys");
  Foreground foreground(context, {.target = container_path(id),
                                  .terminal = terminal,
                                  .input = input,
                                  .proxy_signals = !terminal && arguments.flag("sig-proxy", true),
                                  .detach_keys = keys});
  Answer exit = context.client().post(container_path(id, "/wait"));
  const Query query = Query()
                          .add("stream", "1")
                          .add_if(input, "stdin", "1")
                          .add("stdout", "1")
                          .add("stderr", "1")
                          .add_if(!keys.empty(), "detachKeys", keys);
  const auto stream = open_stream(context.client(), container_path(id, "/attach") + query.str());
  if (terminal && context.out.is_terminal()) foreground.resize(true);
  foreground.make_raw();
  if (foreground.run(*stream) == StreamSession::End::detached) fail(ErrorKind::cancelled, "read escape sequence");
  return status_of(foreground.wait(exit));
}

}  // namespace

const Command kAttach = {.names = "attach|container attach",
                         .usage = "[OPTIONS] CONTAINER",
                         .summary = "Attach to the input and output of a running container",
                         .options = kRows,
                         .minimum = 1,
                         .maximum = 1,
                         .run = run_attach};

}  // namespace bryo::cli

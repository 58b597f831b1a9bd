#include <unistd.h>

#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/foreground.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/options/value_files.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"detach", 'd', &kFlag, "", "Run in the background"},
    {"detach-keys", 0, &kText, "DetachKeys", "Keys that leave the process running"},
    {"env", 'e', &kEnv, "", "Set an environment variable"},
    {"env-file", 0, &kList, "", "Read environment variables from a file"},
    {"interactive", 'i', &kFlag, "", "Attach standard input"},
    {"privileged", 0, &kFlag, "Privileged", "Give all privileges that the engine may give"},
    {"tty", 't', &kFlag, "Tty", "Allocate a terminal"},
    {"user", 'u', &kText, "User", "User and group: name or number, user[:group]"},
    {"workdir", 'w', &kText, "WorkingDir", "Working directory"},
};

json::Object exec_body(const Arguments& arguments) {
  json::Object body;
  arguments.fill(body);
  const auto& words = arguments.words();
  json::Array command;
  for (std::size_t i = 1; i < words.size(); ++i) command.push_back(json::Value(words[i]));
  body["Cmd"] = std::move(command);
  json::Array environment;
  for (const std::string& path : arguments.texts("env-file"))
    for (const std::string& entry : read_value_file(path, true)) environment.push_back(json::Value(entry));
  for (json::Value& entry : arguments.values("env")) environment.push_back(std::move(entry));
  if (!environment.empty()) body["Env"] = std::move(environment);
  const bool attached = !arguments.flag("detach");
  body["Detach"] = !attached;
  body["AttachStdin"] = attached && arguments.flag("interactive");
  body["AttachStdout"] = attached;
  body["AttachStderr"] = attached;
  return body;
}

json::Value start_body(Context& context, bool detached, bool terminal) {
  json::Object body{{"Detach", detached}, {"Tty", terminal}};
  const auto size = window_size(STDOUT_FILENO);
  if (terminal && size && context.client().minor() >= 42) body["ConsoleSize"] = json::Array{size->rows, size->columns};
  return body;
}

int run_exec(Context& context, const Arguments& arguments) {
  const json::Object body = exec_body(arguments);
  const bool detached = arguments.flag("detach");
  const bool terminal = arguments.flag("tty");
  const bool input = body.at("AttachStdin").as_bool();
  if (!detached) require_terminal_input(input, terminal);
  const json::Value created = context.client().post(container_path(arguments.words()[0], "/exec"), body).json();
  const std::string id = text_at(created, "Id");
  if (id.empty()) fail(ErrorKind::unavailable, "exec ID empty");
  const std::string target = "/exec/" + encode_path(id);
  const json::Value start = start_body(context, detached, terminal);
  if (detached) {
    context.client().post(target + "/start", start);
    return 0;
  }
  Foreground foreground(context, {.target = target,
                                  .terminal = terminal,
                                  .input = input,
                                  .proxy_signals = false,
                                  .detach_keys = arguments.text("detach-keys")});
  const auto stream = open_stream(context.client(), target + "/start", &start);
  if (terminal && context.out.is_terminal()) foreground.resize();
  foreground.make_raw();
  if (foreground.run(*stream) == StreamSession::End::detached) fail(ErrorKind::cancelled, "read escape sequence");
  const json::Value ended = context.client().get(target + "/json").json();
  return static_cast<int>(number_at(ended, "ExitCode")) & 0xff;
}

}  // namespace

const Command kExec = {.names = "exec|container exec",
                       .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
                       .summary = "Run a command in a running container",
                       .options = kRows,
                       .minimum = 2,
                       .run = run_exec,
                       .interspersed = false};

}  // namespace bryo::cli

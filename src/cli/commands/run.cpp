#include <fmt/format.h>
#include <unistd.h>

#include "base/error.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/create_container.hpp"
#include "cli/commands/foreground.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/start_error.hpp"
#include "cli/commands/values.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRunRows[] = {
    {"detach", 'd', &kFlag, "", "Run in the background and print the container's id"},
    {"detach-keys", 0, &kText, "", "Keys that leave the container running"},
    {"sig-proxy", 0, &kFlag, "", "Pass signals on to the process", "true"},
};

struct Attachment {
  bool in = false;
  bool out = false;
  bool err = false;
  bool any() const { return in || out || err; }
};

Attachment attachment_of(const json::Object& body) {
  return {body.at("AttachStdin").as_bool(), body.at("AttachStdout").as_bool(), body.at("AttachStderr").as_bool()};
}

std::string attach_query(const Attachment& attachment, const std::string& detach_keys) {
  return Query()
      .add("stream", "1")
      .add_if(attachment.in, "stdin", "1")
      .add_if(attachment.out, "stdout", "1")
      .add_if(attachment.err, "stderr", "1")
      .add_if(!detach_keys.empty(), "detachKeys", detach_keys)
      .str();
}

void start(Context& context, const std::string& id) {
  try {
    context.client().post(container_path(id, "/start"));
  } catch (const Error& error) {
    throw with_start_status(error);
  }
}

// Docker gives a failure to create the same exit statuses as one to start.
std::string create(Context& context, const Arguments& arguments, const CreateRequest& request) {
  try {
    return create_container(context, arguments, request);
  } catch (const Error& error) {
    throw with_start_status(error);
  }
}

Answer send_wait(Context& context, const std::string& id, bool auto_remove) {
  return context.client().post(container_path(id, "/wait") +
                               Query().add("condition", auto_remove ? "removed" : "next-exit").str());
}

// Attach and wait are set up before the start, so that neither output nor exit can be missed.
int run_attached(Context& context, const Arguments& arguments, const std::string& id, const Attachment& attachment,
                 bool terminal, bool auto_remove) {
  const std::string keys = arguments.text("detach-keys");
  Foreground foreground(context, {.target = container_path(id),
                                  .terminal = terminal,
                                  .input = attachment.in,
                                  .proxy_signals = arguments.flag("sig-proxy", true),
                                  .detach_keys = keys});
  const auto stream = open_stream(context.client(), container_path(id, "/attach") + attach_query(attachment, keys));
  Answer exit = send_wait(context, id, auto_remove);
  try {
    start(context, id);
  } catch (const Error&) {
    // The engine removes it; the name is free when we return.
    if (auto_remove) foreground.wait(exit);
    throw;
  }
  if (terminal && context.out.is_terminal()) foreground.resize();
  foreground.make_raw();
  if (foreground.run(*stream) == StreamSession::End::detached) return 0;
  if (!attachment.out && !attachment.err) {
    context.out.print("{}\n", id);
    return 0;
  }
  return status_of(foreground.wait(exit));
}

int run_container(Context& context, const Arguments& arguments) {
  const bool detached = arguments.flag("detach");
  CreateRequest request = build_create_request(arguments, detached, context.client().minor());
  const Attachment attachment = attachment_of(request.body);
  const bool terminal = arguments.flag("tty");
  if (!detached) require_terminal_input(attachment.in, terminal);
  if (terminal && !detached) {
    if (const auto size = window_size(STDOUT_FILENO))
      at_path(request.body, "HostConfig.ConsoleSize") = json::Array{size->rows, size->columns};
  }
  const std::string id = create(context, arguments, request);
  if (!attachment.any()) {
    start(context, id);
    context.out.print("{}\n", id);
    return 0;
  }
  return run_attached(context, arguments, id, attachment, terminal, arguments.flag("rm"));
}

}  // namespace

const Command kRun = {.names = "run|container run",
                      .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
                      .summary = "Create a container from an image and run it",
                      .options = kCreateOptions,
                      .minimum = 1,
                      .run = run_container,
                      .more = kRunRows,
                      .interspersed = false,
                      .starts_container = true};

}  // namespace bryo::cli

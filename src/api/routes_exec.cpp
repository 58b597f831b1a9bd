#include <fcntl.h>
#include <unistd.h>

#include "api/detach_keys.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

Reply create(engine::Engine& engine, Request& request) {
  auto wanted = read_json_as<engine::ExecCreateRequest>(request);
  if (wanted.cmd.empty()) fail(ErrorKind::invalid_argument, "No exec command specified");
  if (request.older_than(42)) wanted.console_size.reset();
  if (!wanted.detach_keys.empty()) static_cast<void>(parse_detach_keys(wanted.detach_keys));
  const std::string id = engine.exec_create(request.parameter("id"), wanted);
  return Reply::json(201, json::Object{{"Id", json::encode(id)}});
}

// A stream of one text: how `docker exec` learns that its command could not be run, as from a runtime's standard
// output.
UniqueFd stream_of(std::string text, bool tty) {
  if (!tty) text.insert(0, output_frame_head(text.size()));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) fail_errno("pipe2");
  UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  if (::write(writer.get(), text.data(), text.size()) < 0) fail_errno("write to a pipe");
  return reader;
}

std::string detach_sequence(engine::Engine& engine, const std::string& id) {
  const std::string keys = engine.exec_inspect(id).detach_keys;
  return parse_detach_keys(keys.empty() ? kDefaultDetachKeys : std::string_view(keys));
}

Reply start(engine::Engine& engine, Request& request) {
  const std::string& id = request.parameter("id");
  auto wanted = read_json_as<engine::ExecStartRequest>(request);
  if (request.older_than(42) || !wanted.tty) wanted.console_size.reset();
  try {
    engine::Stream stream = engine.exec_start(id, wanted);
    if (wanted.detach) return Reply::empty(200);
    std::string keys = stream.tty ? detach_sequence(engine, id) : "";
    // As with dockerd it is the start that says how the output comes, whatever the process has.
    const bool framed = stream.tty && !wanted.tty;
    Reply reply = Reply::hijack(stream_type(request, stream.tty && !framed), std::move(stream.fd), std::move(keys));
    std::get<Reply::Hijack>(reply.body).framed = framed;
    std::get<Reply::Hijack>(reply.body).detached = [&engine, id] { engine.exec_detached(id); };
    // Clients ask for the exit code as soon as the stream has ended.
    std::get<Reply::Hijack>(reply.body).settled = [&engine, id] {
      try {
        return !engine.exec_inspect(id).running;
      } catch (const Error&) {
        return true;  // the container is gone, and the exec with it
      }
    };
    return reply;
  } catch (const Error& error) {
    if (wanted.detach || error.exit_code() == 0) throw;
    return Reply::hijack(stream_type(request, wanted.tty), stream_of(error.message() + "\r\n", wanted.tty));
  }
}

Reply resize(engine::Engine& engine, Request& request) {
  engine.exec_resize(request.parameter("id"), required_size(request, "h"), required_size(request, "w"));
  return Reply::empty(200);
}

}  // namespace

void add_exec_routes(Router& router, engine::Engine& engine) {
  // Nothing of these two waits: a hand-over to a worker thread and back would take longer than they do.
  router.add(
      Method::post, "/containers/{id}/exec", [&](Request& request) { return create(engine, request); }, BodyMode::whole,
      RunOn::event_loop);
  router.add(Method::post, "/exec/{id}/start", [&](Request& request) { return start(engine, request); });
  router.add(Method::post, "/exec/{id}/resize", [&](Request& request) { return resize(engine, request); });
  router.add(
      Method::get, "/exec/{id}/json",
      [&](Request& request) { return Reply::json_of(200, engine.exec_inspect(request.parameter("id"))); },
      BodyMode::whole, RunOn::event_loop);
}

}  // namespace bryo::api

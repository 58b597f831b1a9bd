#include "api/detach_keys.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

Reply logs(engine::Engine& engine, Request& request) {
  engine::LogsRequest wanted;
  wanted.out = request.query.flag("stdout");
  wanted.err = request.query.flag("stderr");
  if (!wanted.out && !wanted.err)
    fail(ErrorKind::invalid_argument, "Bad parameters: you must choose at least one stream");
  wanted.follow = request.query.flag("follow");
  wanted.timestamps = request.query.flag("timestamps");
  wanted.details = request.query.flag("details");
  wanted.since = request.query.get("since");
  if (!request.older_than(35)) wanted.until = request.query.get("until");
  wanted.tail = request.query.get("tail");
  engine::Stream stream = engine.container_logs(request.parameter("id"), wanted);
  return Reply::relay(stream_type(request, stream.tty), std::move(stream.fd));
}

Reply attach(engine::Engine& engine, Request& request) {
  const std::string& given = request.query.get("detachKeys");
  std::string keys = parse_detach_keys(given.empty() ? kDefaultDetachKeys : given);
  engine::AttachRequest wanted;
  wanted.in = request.query.flag("stdin");
  wanted.out = request.query.flag("stdout");
  wanted.err = request.query.flag("stderr");
  wanted.logs = request.query.flag("logs");
  wanted.stream = request.query.flag("stream");
  engine::Stream stream = engine.container_attach(request.parameter("id"), wanted);
  if (!stream.tty) keys.clear();
  Reply reply = Reply::hijack(stream_type(request, stream.tty), std::move(stream.fd), std::move(keys));
  std::get<Reply::Hijack>(reply.body).detached = [&engine, id = request.parameter("id")] {
    engine.container_detached(id);
  };
  return reply;
}

Reply stats(engine::Engine& engine, Request& request) {
  const bool follow = request.query.flag_or("stream", true);
  const bool one_shot = !request.older_than(41) && request.query.flag("one-shot");
  if (follow && one_shot) fail(ErrorKind::invalid_argument, "cannot have stream=true and one-shot=true");
  return Reply::relay("application/json", engine.container_stats(request.parameter("id"), follow, one_shot));
}

Reply resize(engine::Engine& engine, Request& request) {
  engine.container_resize(request.parameter("id"), required_size(request, "h"), required_size(request, "w"));
  return Reply::empty(200);
}

Reply attach_websocket(engine::Engine&, Request&) {
  fail(ErrorKind::unsupported, "attaching through a WebSocket is not supported: use POST /containers/<id>/attach");
}

}  // namespace

void add_container_stream_routes(Router& router, engine::Engine& engine) {
  const auto add = [&](Method method, std::string_view pattern, Reply (*handler)(engine::Engine&, Request&)) {
    router.add(method, pattern, [&engine, handler](Request& request) { return handler(engine, request); });
  };
  add(Method::get, "/containers/{id}/logs", logs);
  add(Method::get, "/containers/{id}/stats", stats);
  add(Method::get, "/containers/{id}/attach/ws", attach_websocket);
  add(Method::post, "/containers/{id}/attach", attach);
  add(Method::post, "/containers/{id}/resize", resize);
}

}  // namespace bryo::api

#include "api/compat.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

Reply ping(Request& request) {
  Reply reply = Reply::text(200, "text/plain; charset=utf-8", request.method == Method::head ? "" : "OK");
  reply.with("Builder-Version", "1")
      .with("Cache-Control", "no-cache, no-store, must-revalidate")
      .with("Pragma", "no-cache")
      .with("Swarm", "inactive");
  return reply;
}

Reply info(engine::Engine& engine, Request& request) {
  json::Value value = engine.info();
  adapt_info(value, request.version);
  return Reply::json(200, value);
}

Reply login(engine::Engine& engine, Request& request) {
  const json::Value credentials = read_json(request);
  if (!credentials.is_object()) fail(ErrorKind::invalid_argument, "credentials are missing in the request body");
  return Reply::json(200, engine.registry_login(credentials));
}

Reply disk_usage(engine::Engine& engine, Request& request) {
  std::vector<std::string> types;
  if (!request.older_than(42)) types = request.query.all("type");
  for (const std::string& type : types)
    if (type != "container" && type != "image" && type != "volume" && type != "build-cache")
      fail(ErrorKind::invalid_argument, "unknown object type: {}", type);
  json::Value value = engine.disk_usage(types);
  adapt_disk_usage(value, request.version);
  return Reply::json(200, value);
}

Reply events(engine::Engine& engine, Request& request) {
  const engine::EventsRequest wanted{request.query.get("since"), request.query.get("until"), request.query.filters()};
  return Reply::relay("application/json", engine.events(wanted));
}

}  // namespace

void add_system_routes(Router& router, engine::Engine& engine) {
  router.add(Method::get, "/_ping", ping, BodyMode::whole, RunOn::event_loop);
  router.add(Method::head, "/_ping", ping, BodyMode::whole, RunOn::event_loop);
  router.add(Method::get, "/version", [&](Request&) { return Reply::json(200, engine.version()); });
  router.add(Method::get, "/info", [&](Request& request) { return info(engine, request); });
  router.add(Method::post, "/auth", [&](Request& request) { return login(engine, request); });
  router.add(Method::get, "/events", [&](Request& request) { return events(engine, request); });
  router.add(Method::get, "/system/df", [&](Request& request) { return disk_usage(engine, request); });
}

}  // namespace bryo::api

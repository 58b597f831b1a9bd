#include "api/compat.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

Reply list(engine::Engine& engine, Request& request) {
  engine::ListRequest wanted;
  wanted.all = request.query.flag("all");
  wanted.size = request.query.flag("size");
  wanted.limit = static_cast<int>(request.query.integer("limit", -1, 1 << 30).value_or(0));
  wanted.filters = request.query.filters();
  return Reply::json_of(200, engine.container_list(wanted));
}

Reply inspect(engine::Engine& engine, Request& request) {
  auto container = engine.container_inspect(request.parameter("id"), request.query.flag("size"));
  adapt_inspect(container, request.version);
  return Reply::json_of(200, container);
}

Reply top(engine::Engine& engine, Request& request) {
  return Reply::json_of(200, engine.container_top(request.parameter("id"), request.query.get("ps_args")));
}

Reply changes(engine::Engine& engine, Request& request) {
  return Reply::json_of(200, engine.container_changes(request.parameter("id")));
}

Reply remove(engine::Engine& engine, Request& request) {
  const engine::RemoveRequest how{request.query.flag("v"), request.query.flag("force"), request.query.flag("link")};
  engine.container_remove(request.parameter("id"), how);
  return Reply::empty(204);
}

Reply rename(engine::Engine& engine, Request& request) {
  engine.container_rename(request.parameter("id"), required(request, "name"));
  return Reply::empty(204);
}

Reply update(engine::Engine& engine, Request& request) {
  engine::UpdateRequest change;
  change.given = read_json(request);
  if (!change.given.is_object()) fail(ErrorKind::invalid_argument, "the request body must be a JSON object");
  json::decode_into(change.given, change.resources, "");
  if (const json::Value* policy = json::detail::find(change.given.get_object(), "RestartPolicy"))
    json::decode_into(*policy, change.restart_policy, "RestartPolicy");
  const auto warnings = engine.container_update(request.parameter("id"), change);
  return Reply::json(200, json::Object{{"Warnings", json::encode(warnings)}});
}

Reply export_tar(engine::Engine& engine, Request& request) {
  return Reply::stream("application/octet-stream", Reply::OnError::abort,
                       [&](BodyWriter& out) { engine.container_export(request.parameter("id"), out); });
}

Reply prune(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.container_prune(request.query.filters()));
}

// An addition of ours: the body is as HostConfig.PortBindings, the answer as NetworkSettings.Ports.
Reply add_ports(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.container_add_ports(request.parameter("id"), read_json_as<engine::PortMap>(request)));
}

Reply remove_ports(engine::Engine& engine, Request& request) {
  return Reply::json(200,
                     engine.container_remove_ports(request.parameter("id"), read_json_as<engine::PortMap>(request)));
}

}  // namespace

void add_container_routes(Router& router, engine::Engine& engine) {
  const auto add = [&](Method method, std::string_view pattern, Reply (*handler)(engine::Engine&, Request&)) {
    router.add(method, pattern, [&engine, handler](Request& request) { return handler(engine, request); });
  };
  add(Method::get, "/containers/json", list);
  add(Method::get, "/containers/ps", list);
  add(Method::post, "/containers/prune", prune);
  add(Method::get, "/containers/{id}/json", inspect);
  add(Method::get, "/containers/{id}/top", top);
  add(Method::get, "/containers/{id}/changes", changes);
  add(Method::get, "/containers/{id}/export", export_tar);
  add(Method::post, "/containers/{id}/rename", rename);
  add(Method::post, "/containers/{id}/update", update);
  add(Method::del, "/containers/{id}", remove);
  add(Method::post, "/bryo/containers/{id}/ports", add_ports);
  add(Method::del, "/bryo/containers/{id}/ports", remove_ports);
}

}  // namespace bryo::api

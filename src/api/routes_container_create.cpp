#include "api/compat.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

engine::CreateRequest read_create(const Request& request) {
  const json::Value body = read_json(request);
  if (!body.is_object()) fail(ErrorKind::invalid_argument, "config cannot be empty in order to create a container");
  engine::CreateRequest create;
  create.name = request.query.get("name");
  create.platform = request.query.get("platform");
  create.caller = {request.peer.uid, request.peer.gid};
  json::decode_into(body, create.config, "");
  if (const json::Value* host = json::detail::find(body.get_object(), "HostConfig"))
    json::decode_into(*host, create.host_config, "HostConfig");
  if (const json::Value* networking = json::detail::find(body.get_object(), "NetworkingConfig"))
    json::decode_into(*networking, create.networking, "NetworkingConfig");
  adapt_create(create, request.version);
  return create;
}

}  // namespace

void add_container_create_route(Router& router, engine::Engine& engine) {
  router.add(Method::post, "/containers/create", [&engine](Request& request) {
    const engine::CreateResult result = engine.container_create(read_create(request));
    return Reply::json(201, json::Object{{"Id", json::encode(result.id)}, {"Warnings", json::encode(result.warnings)}});
  });
}

}  // namespace bryo::api

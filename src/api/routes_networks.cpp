#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

struct ConnectBody {
  std::string container;
  engine::EndpointSettings endpoint;
};

struct DisconnectBody {
  std::string container;
};

}  // namespace
}  // namespace bryo::api

template <>
struct bryo::json::Fields<bryo::api::ConnectBody> {
  using T = bryo::api::ConnectBody;
  static constexpr auto list = std::tuple{field("Container", &T::container), field("EndpointConfig", &T::endpoint)};
};

template <>
struct bryo::json::Fields<bryo::api::DisconnectBody> {
  using T = bryo::api::DisconnectBody;
  static constexpr auto list = std::tuple{field("Container", &T::container)};
};

namespace bryo::api {
namespace {

Reply list(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.network_list(request.query.filters()));
}

Reply inspect(engine::Engine& engine, Request& request) {
  return Reply::json(
      200, engine.network_inspect(request.parameter("id"), request.query.flag("verbose"), request.query.get("scope")));
}

Reply create(engine::Engine& engine, Request& request) {
  const auto wanted = read_json_as<engine::NetworkCreateRequest>(request);
  if (wanted.name.empty()) fail(ErrorKind::invalid_argument, "network name cannot be empty");
  return Reply::json(201, engine.network_create(wanted));
}

Reply connect(engine::Engine& engine, Request& request) {
  const auto wanted = read_json_as<ConnectBody>(request);
  engine.network_connect(request.parameter("id"), wanted.container, wanted.endpoint);
  return Reply::empty(200);
}

Reply disconnect(engine::Engine& engine, Request& request) {
  const auto wanted = read_json_as<DisconnectBody>(request);
  engine.network_disconnect(request.parameter("id"), wanted.container);
  return Reply::empty(200);
}

Reply remove(engine::Engine& engine, Request& request) {
  engine.network_remove(request.parameter("id"));
  return Reply::empty(204);
}

Reply prune(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.network_prune(request.query.filters()));
}

}  // namespace

void add_network_routes(Router& router, engine::Engine& engine) {
  const auto add = [&](Method method, std::string_view pattern, Reply (*handler)(engine::Engine&, Request&)) {
    router.add(method, pattern, [&engine, handler](Request& request) { return handler(engine, request); });
  };
  add(Method::get, "/networks", list);
  add(Method::post, "/networks/create", create);
  add(Method::post, "/networks/prune", prune);
  add(Method::get, "/networks/{id}", inspect);
  add(Method::del, "/networks/{id}", remove);
  add(Method::post, "/networks/{id}/connect", connect);
  add(Method::post, "/networks/{id}/disconnect", disconnect);
}

}  // namespace bryo::api

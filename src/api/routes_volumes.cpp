#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

Reply create(engine::Engine& engine, Request& request) {
  return Reply::json(201, engine.volume_create(read_json_as<engine::VolumeCreateRequest>(request)));
}

Reply remove(engine::Engine& engine, Request& request) {
  engine.volume_remove(request.parameter("name"), request.query.flag("force"));
  return Reply::empty(204);
}

// Since 1.42 only anonymous volumes, unless the filter "all" says otherwise.
Reply prune(engine::Engine& engine, Request& request) {
  auto filters = request.query.filters();
  if (request.older_than(42)) filters["all"] = {"true"};
  return Reply::json(200, engine.volume_prune(filters));
}

}  // namespace

void add_volume_routes(Router& router, engine::Engine& engine) {
  router.add(Method::get, "/volumes",
             [&](Request& request) { return Reply::json(200, engine.volume_list(request.query.filters())); });
  router.add(Method::post, "/volumes/create", [&](Request& request) { return create(engine, request); });
  router.add(Method::post, "/volumes/prune", [&](Request& request) { return prune(engine, request); });
  router.add(Method::get, "/volumes/{name}",
             [&](Request& request) { return Reply::json(200, engine.volume_inspect(request.parameter("name"))); });
  router.add(Method::del, "/volumes/{name}", [&](Request& request) { return remove(engine, request); });
}

}  // namespace bryo::api

#include "api/compat.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

Reply list(engine::Engine& engine, Request& request) {
  auto filters = request.query.filters();
  const std::string& name = request.query.get("filter");
  if (request.older_than(41) && !name.empty()) filters["reference"].push_back(name);
  const bool shared_size = !request.older_than(42) && request.query.flag("shared-size");
  json::Value images = engine.image_list(request.query.flag("all"), filters, shared_size);
  adapt_image_list(images, request.version);
  return Reply::json(200, images);
}

Reply inspect(engine::Engine& engine, Request& request) {
  json::Value image = engine.image_inspect(request.parameter("name"));
  adapt_image_inspect(image, request.version);
  return Reply::json(200, image);
}

Reply history(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.image_history(request.parameter("name")));
}

Reply tag(engine::Engine& engine, Request& request) {
  engine.image_tag(request.parameter("name"), required(request, "repo"), request.query.get("tag"));
  return Reply::empty(201);
}

Reply remove(engine::Engine& engine, Request& request) {
  return Reply::json(
      200, engine.image_remove(request.parameter("name"), request.query.flag("force"), request.query.flag("noprune")));
}

Reply prune(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.image_prune(request.query.filters()));
}

Reply commit(engine::Engine& engine, Request& request) {
  engine::CommitRequest wanted;
  wanted.container = required(request, "container");
  wanted.repository = request.query.get("repo");
  wanted.tag = request.query.get("tag");
  wanted.comment = request.query.get("comment");
  wanted.author = request.query.get("author");
  wanted.changes = request.query.all("changes");
  wanted.pause = request.query.flag_or("pause", true);
  const json::Value body = read_json(request);
  if (body.is_object() && !body.get_object().empty()) wanted.config = json::decode<engine::ContainerConfig>(body);
  return Reply::json(201, json::Object{{"Id", json::encode(engine.commit(wanted))}});
}

Reply search(engine::Engine&, Request&) {
  fail(ErrorKind::unsupported,
       "searching a registry is not supported by this engine: look the image up on the "
       "registry's own pages");
}

Reply distribution(engine::Engine& engine, Request& request) {
  return Reply::json(200, engine.distribution_inspect(request.parameter("name"), registry_auth(request)));
}

}  // namespace

void add_image_routes(Router& router, engine::Engine& engine) {
  const auto add = [&](Method method, std::string_view pattern, Reply (*handler)(engine::Engine&, Request&)) {
    router.add(method, pattern, [&engine, handler](Request& request) { return handler(engine, request); });
  };
  add(Method::get, "/images/json", list);
  add(Method::get, "/images/search", search);
  add(Method::post, "/images/prune", prune);
  add(Method::get, "/images/{name...}/json", inspect);
  add(Method::get, "/images/{name...}/history", history);
  add(Method::post, "/images/{name...}/tag", tag);
  add(Method::del, "/images/{name...}", remove);
  add(Method::post, "/commit", commit);
  add(Method::get, "/distribution/{name...}/json", distribution);
}

}  // namespace bryo::api

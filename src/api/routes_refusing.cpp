#include "api/routes.hpp"
#include "base/error.hpp"

namespace bryo::api {
namespace {

constexpr std::string_view kNoSwarm =
    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to "
    "swarm "
    "and try again.";
constexpr std::string_view kNoBuild =
    "builds are not supported by this engine yet: build the image with another tool (buildah, docker buildx with a "
    "container builder) and load it with docker load";
constexpr std::string_view kNoPlugins = "plugins are not supported by this engine";

Handler refuse(ErrorKind kind, std::string_view text) {
  return [kind, message = std::string(text)](Request&) -> Reply { throw Error(kind, message); };
}

void refuse_all(Router& router, std::string_view pattern, ErrorKind kind, std::string_view text) {
  for (const Method method : {Method::get, Method::head, Method::post, Method::put, Method::del})
    router.add(method, pattern, refuse(kind, text));
}

}  // namespace

void add_refusing_routes(Router& router) {
  router.add(Method::post, "/swarm/init", refuse(ErrorKind::unsupported, "swarm mode is not supported by this engine"));
  router.add(Method::post, "/swarm/join", refuse(ErrorKind::unsupported, "swarm mode is not supported by this engine"));
  router.add(Method::post, "/swarm/leave", refuse(ErrorKind::unavailable, "This node is not part of a swarm"));
  for (const std::string_view resource : {"/swarm", "/services", "/nodes", "/tasks", "/secrets", "/configs"}) {
    refuse_all(router, resource, ErrorKind::unavailable, kNoSwarm);
    refuse_all(router, std::string(resource) + "/{rest...}", ErrorKind::unavailable, kNoSwarm);
  }
  router.add(Method::get, "/plugins", [](Request&) { return Reply::json(200, json::Array{}); });
  refuse_all(router, "/plugins/{rest...}", ErrorKind::unsupported, kNoPlugins);
  // `docker system prune` asks for this too.
  router.add(Method::post, "/build/prune", [](Request&) {
    return Reply::json(200, json::Object{{"CachesDeleted", nullptr}, {"SpaceReclaimed", 0}});
  });
  router.add(Method::post, "/build", refuse(ErrorKind::unsupported, kNoBuild), BodyMode::streamed);
  router.add(Method::post, "/build/cancel", refuse(ErrorKind::unsupported, kNoBuild));
  router.add(Method::post, "/session", refuse(ErrorKind::unsupported, kNoBuild));
  router.add(Method::post, "/grpc", refuse(ErrorKind::unsupported, kNoBuild));
}

}  // namespace bryo::api

// docker cp: files of a container as a tar.
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

constexpr const char* kStatHeader = "X-Docker-Container-Path-Stat";

std::string stat_header(const engine::PathStat& stat) {
  return encode_base64(json::serialize(json::Object{{"name", json::encode(stat.name)},
                                                    {"size", stat.size},
                                                    {"mode", stat.mode},
                                                    {"mtime", json::encode(stat.mtime)},
                                                    {"linkTarget", json::encode(stat.link_target)}}));
}

Reply stat_path(engine::Engine& engine, Request& request) {
  const auto stat = engine.archive_stat(request.parameter("id"), required(request, "path"));
  return Reply::empty(200).with(kStatHeader, stat_header(stat));
}

Reply get(engine::Engine& engine, Request& request) {
  const std::string& path = required(request, "path");
  return Reply::stream("application/x-tar", Reply::OnError::abort, [&engine, &request, &path](BodyWriter& out) {
    const auto ready = [&out](const engine::PathStat& stat) { out.header(kStatHeader, stat_header(stat)); };
    engine.archive_get(request.parameter("id"), path, ready, out);
  });
}

Reply put(engine::Engine& engine, Request& request) {
  engine::ArchivePutRequest where;
  where.path = required(request, "path");
  where.no_overwrite_dir_non_dir = request.query.flag("noOverwriteDirNonDir");
  where.copy_uid_gid = request.query.flag("copyUIDGID");
  engine.archive_put(request.parameter("id"), where, *request.stream);
  return Reply::empty(200);
}

}  // namespace

void add_archive_routes(Router& router, engine::Engine& engine) {
  const std::string pattern = "/containers/{id}/archive";
  router.add(Method::head, pattern, [&engine](Request& request) { return stat_path(engine, request); });
  router.add(Method::get, pattern, [&engine](Request& request) { return get(engine, request); });
  router.add(
      Method::put, pattern, [&engine](Request& request) { return put(engine, request); }, BodyMode::streamed);
}

}  // namespace bryo::api

// Images that come and go: pull, push, import, load, save. Progress is JSON lines; tars are raw bytes.
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "base/strings.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

using Producer = Reply::Producer;

Reply progress_stream(Producer producer) {
  return Reply::stream("application/json", Reply::OnError::json_line, std::move(producer));
}

Reply pull(engine::Engine& engine, Request& request) {
  json::Value auth = registry_auth(request);
  return progress_stream([&engine, &request, auth = std::move(auth)](BodyWriter& out) {
    const std::string platform = request.older_than(32) ? "" : request.query.get("platform");
    engine.image_pull(request.query.get("fromImage"), request.query.get("tag"), platform, auth, progress_lines(out),
                      [&request] { return request.cancelled(); });
  });
}

Reply import_tar(engine::Engine& engine, Request& request) {
  if (request.query.get("fromSrc") != "-")
    fail(ErrorKind::unsupported,
         "importing from a URL is not supported by this engine: download the file and import it, as in "
         "curl <url> | docker import -");
  return progress_stream([&engine, &request](BodyWriter& out) {
    const Query& query = request.query;
    const std::string id = engine.image_import(query.get("repo"), query.get("tag"), query.get("message"),
                                               query.all("changes"), query.get("platform"), *request.stream);
    out.write(json::serialize(json::Object{{"status", json::encode(id)}}) + "\r\n");
  });
}

Reply create(engine::Engine& engine, Request& request) {
  if (!request.query.get("fromImage").empty()) return pull(engine, request);
  if (!request.query.get("fromSrc").empty()) return import_tar(engine, request);
  fail(ErrorKind::invalid_argument, "bad parameter: fromImage or fromSrc must be given");
}

// {"os":"linux","architecture":"amd64"}: images here are of one platform each, so it is this one or none.
void check_platform(engine::Engine& engine, const std::string& name, const std::string& wanted) {
  if (wanted.empty()) return;
  const json::Value platform = json::parse(wanted);
  const json::Value image = engine.image_inspect(name);
  if (!platform.is_object()) fail(ErrorKind::invalid_argument, "platform must be a JSON object: {}", printable(wanted));
  for (const auto& [field, shown] : {std::pair{"os", "Os"}, {"architecture", "Architecture"}, {"variant", "Variant"}}) {
    const json::Value* asked = platform.get_object().if_contains(field);
    const json::Value* has = image.get_object().if_contains(shown);
    if (asked == nullptr || !asked->is_string() || asked->get_string().empty()) continue;
    if (has == nullptr || *has != *asked)
      fail(ErrorKind::not_found, "image with reference {} was found but does not provide the specified platform ({})",
           printable(name), printable(wanted));
  }
}

Reply push(engine::Engine& engine, Request& request) {
  if (!request.older_than(46)) {
    const std::string& tag = request.query.get("tag");
    check_platform(engine, request.parameter("name") + (tag.empty() ? "" : ":" + tag), request.query.get("platform"));
  }
  json::Value auth = registry_auth(request);
  return progress_stream([&engine, &request, auth = std::move(auth)](BodyWriter& out) {
    engine.image_push(request.parameter("name"), request.query.get("tag"), auth, progress_lines(out),
                      [&request] { return request.cancelled(); });
  });
}

Reply load(engine::Engine& engine, Request& request) {
  return progress_stream([&engine, &request](BodyWriter& out) {
    try {
      engine.image_load(*request.stream, request.query.flag("quiet"), progress_lines(out));
    } catch (const Error&) {
      out.start();  // the error is a line of the stream, always: clients look for it there (docker-py)
      throw;
    }
  });
}

Reply save(engine::Engine& engine, std::vector<std::string> names) {
  if (names.empty()) fail(ErrorKind::invalid_argument, "bad parameter: names cannot be empty");
  return Reply::stream("application/x-tar", Reply::OnError::abort,
                       [&engine, names = std::move(names)](BodyWriter& out) { engine.image_save(names, out); });
}

}  // namespace

void add_image_transfer_routes(Router& router, engine::Engine& engine) {
  router.add(
      Method::post, "/images/create", [&](Request& request) { return create(engine, request); }, BodyMode::streamed);
  router.add(
      Method::post, "/images/load", [&](Request& request) { return load(engine, request); }, BodyMode::streamed);
  router.add(Method::post, "/images/{name...}/push", [&](Request& request) { return push(engine, request); });
  router.add(Method::get, "/images/get", [&](Request& request) { return save(engine, request.query.all("names")); });
  router.add(Method::get, "/images/{name...}/get",
             [&](Request& request) { return save(engine, {request.parameter("name")}); });
}

}  // namespace bryo::api

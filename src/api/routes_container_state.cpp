#include "api/compat.hpp"
#include "api/handler_tools.hpp"
#include "api/routes.hpp"
#include "base/strings.hpp"
#include "engine/engine.hpp"

namespace bryo::api {
namespace {

std::optional<int> timeout_of(const Request& request) {
  const auto seconds = request.query.integer("t", -(1 << 30), 1 << 30);
  return seconds ? std::optional(static_cast<int>(*seconds)) : std::nullopt;
}

// The signal of stop and restart: since 1.42.
std::string signal_of(const Request& request) { return request.older_than(42) ? "" : request.query.get("signal"); }

Reply start(engine::Engine& engine, Request& request) {
  if (request.body.size() > 7)  // more than "null" or "{}" and a newline
    fail(ErrorKind::invalid_argument,
         "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24");
  if (request.query.has("checkpoint"))
    fail(ErrorKind::unsupported, "starting from a checkpoint is not supported by this engine");
  engine.container_start(request.parameter("id"));
  return Reply::empty(204);
}

Reply stop(engine::Engine& engine, Request& request) {
  engine.container_stop(request.parameter("id"), timeout_of(request), signal_of(request));
  return Reply::empty(204);
}

Reply restart(engine::Engine& engine, Request& request) {
  engine.container_restart(request.parameter("id"), timeout_of(request), signal_of(request));
  return Reply::empty(204);
}

Reply kill(engine::Engine& engine, Request& request) {
  engine.container_kill(request.parameter("id"), request.query.get("signal"));
  return Reply::empty(204);
}

Reply pause(engine::Engine& engine, Request& request) {
  engine.container_pause(request.parameter("id"));
  return Reply::empty(204);
}

Reply unpause(engine::Engine& engine, Request& request) {
  engine.container_unpause(request.parameter("id"));
  return Reply::empty(204);
}

engine::WaitCondition condition_of(const Request& request) {
  const std::string& name = request.query.get("condition");
  if (request.older_than(30) || name.empty() || name == "not-running") return engine::WaitCondition::not_running;
  if (name == "next-exit") return engine::WaitCondition::next_exit;
  if (name == "removed") return engine::WaitCondition::removed;
  fail(ErrorKind::invalid_argument, "invalid condition: \"{}\"", printable(name));
}

// The head of the reply tells the client that the wait is registered: `docker run` starts the container after it.
Reply wait(engine::Engine& engine, Request& request) {
  const engine::WaitCondition condition = condition_of(request);
  const ApiVersion version = request.version;
  return Reply::later("application/json", !request.older_than(30), [&engine, &request, condition, version](auto done) {
    const auto finish = [done, condition, version](const engine::WaitResult& result) {
      // Before 1.34 a failed removal had no other sign than an empty body.
      const bool hidden = version < ApiVersion{1, 34} && condition == engine::WaitCondition::removed && result.error;
      done(hidden ? std::string() : json::serialize(wait_body(result, version)) + "\n");
    };
    return std::shared_ptr<void>(engine.container_wait(request.parameter("id"), condition, finish));
  });
}

}  // namespace

void add_container_state_routes(Router& router, engine::Engine& engine) {
  const auto add = [&](std::string_view action, Reply (*handler)(engine::Engine&, Request&)) {
    router.add(Method::post, fmt::format("/containers/{{id}}/{}", action),
               [&engine, handler](Request& request) { return handler(engine, request); });
  };
  add("start", start);
  add("stop", stop);
  add("restart", restart);
  add("kill", kill);
  add("pause", pause);
  add("unpause", unpause);
  add("wait", wait);
}

}  // namespace bryo::api

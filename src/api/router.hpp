// Which handler answers this request? A table of (method, pattern, handler).
//
// Patterns are literal segments, {name} for one segment and {name...} for one or more ("/images/{name...}/json" takes
// "library/busybox"). Earlier routes win. Every route is reachable with and without a /v1.NN prefix.
// Built before the server starts, read by its event loop afterwards.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/http.hpp"

namespace bryo::api {

enum class BodyMode { whole, streamed };
enum class RunOn { pool, event_loop };

struct Route {
  Method method;
  std::string pattern;
  Handler handler;
  BodyMode body = BodyMode::whole;
  RunOn run_on = RunOn::pool;
};

class Router {
 public:
  void add(Method method, std::string_view pattern, Handler handler, BodyMode body = BodyMode::whole,
           RunOn run_on = RunOn::pool);

  // Splits request.target into version, path and query, finds the route and fills request.parameters. Throws
  // Error{not_found} "page not found", or Error{invalid_argument} for a bad target or a version we do not speak.
  const Route& match(Request& request) const;

 private:
  struct Entry {
    Route route;
    std::vector<std::string> segments;
  };
  std::unordered_map<std::string, std::vector<Entry>> by_first_segment_;
};

}  // namespace bryo::api

// Requests to one endpoint of a registry: with authorization, redirects and another try where that makes sense.
//
// Redirects are followed for GET and HEAD, ten at most, http and https only; an https endpoint is not left for http; to
// another origin goes no Authorization, and Reach (addresses.hpp) keeps it away from this host and from link-local
// addresses. A challenge of another origin is not answered. Lost connections and 408, 429, 502, 503, 504 are tried
// again with growing pauses (Retry-After is obeyed up to ten seconds). Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "registry/auth.hpp"
#include "registry/http.hpp"

namespace bryo::registry {

struct SessionRequest {
  std::string method = "GET";
  Url url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view text;
  ByteSource* body = nullptr;  // sent once: no second try, no challenge answered
  std::uint64_t body_size = 0;
};

class Session {
 public:
  struct Setup {
    HttpClient* http = nullptr;
    const EndpointTable* table = nullptr;
    RegistryOptions options;
    Endpoint endpoint;
    Credentials credentials;
    std::vector<std::string> scopes;
    bool want_refresh_token = false;
    Cancelled cancelled;
  };
  explicit Session(Setup setup);

  const Endpoint& endpoint() const { return setup_.endpoint; }
  // An address of the API: at("/v2/library/busybox/tags/list").
  Url at(std::string_view path) const { return setup_.endpoint.at(path); }
  // Where an upload goes on: a Location of this endpoint. Proxies that speak TLS for a registry make it say http of the
  // same host: such an address is taken as ours.
  Url follow_location(const Url& from, const HttpResponse& response) const;

  // Any status but redirects, which end somewhere. TransportError when nothing can be heard.
  std::unique_ptr<HttpResponse> send(const SessionRequest& request);
  Secret refresh_token() { return authorizer_.refresh_token(); }
  // Waits before try number `attempt` (from 1), asking `cancelled`.
  void pause(int attempt, std::string_view retry_after = "") const;

 private:
  struct Answer {
    std::unique_ptr<HttpResponse> response;
    bool own_origin = true;
  };
  Answer send_following(const SessionRequest& request, const Secret& authorization) const;
  HttpRequest make_request(const SessionRequest& request, const Url& url, const Secret& authorization) const;
  void check_target(const Url& from, const Url& to) const;
  std::unique_ptr<HttpResponse> send_authorized(const SessionRequest& request);

  const Setup setup_;
  Authorizer authorizer_;
};

}  // namespace bryo::registry

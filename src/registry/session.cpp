#include "registry/session.hpp"

#include <algorithm>
#include <thread>

#include "base/strings.hpp"

namespace bryo::registry {

namespace {

using std::chrono::milliseconds;

constexpr int kMaxRedirects = 10;
constexpr milliseconds kLongestPause = std::chrono::seconds(10);

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_temporary(int status) {
  return status == 408 || status == 429 || status == 502 || status == 503 || status == 504;
}

Authorizer::Setup authorizer_setup(const Session::Setup& setup) {
  Authorizer::Setup out;
  out.http = setup.http;
  out.table = setup.table;
  out.endpoint = setup.endpoint;
  if (!setup.endpoint.mirror) out.credentials = setup.credentials;
  out.scopes = setup.scopes;
  out.trusted_realms = setup.options.trusted_realms;
  out.want_refresh_token = setup.want_refresh_token;
  out.cancelled = setup.cancelled;
  return out;
}

}  // namespace

Session::Session(Setup setup) : setup_(std::move(setup)), authorizer_(authorizer_setup(setup_)) {}

void Session::check_target(const Url& from, const Url& to) const {
  const bool downgrade = setup_.endpoint.base.origin().scheme == "https" && to.origin().scheme == "http";
  if (downgrade && !setup_.table->is_insecure(to.origin()))
    throw TransportError(Failure::forbidden, ErrorKind::permission,
                         fmt::format("Get \"{}\": redirected to {}, which is not encrypted: refused (list the host in "
                                     "insecure-registries to allow it)",
                                     from.printable(), to.printable()));
}

Url Session::follow_location(const Url& from, const HttpResponse& response) const {
  const Url to = from.resolve(response.header("Location"));
  const Origin& own = setup_.endpoint.base.origin();
  const bool same_host = to.origin().host == own.host && (to.origin().port == own.port || to.origin().port == 80);
  if (own.scheme == "https" && to.origin().scheme == "http" && same_host) return to.with_origin(own);
  check_target(from, to);
  return to;
}

HttpRequest Session::make_request(const SessionRequest& request, const Url& url, const Secret& authorization) const {
  const Origin& own = setup_.endpoint.base.origin();
  const bool own_origin = url.origin() == own;
  HttpRequest out;
  out.method = request.method;
  out.url = url;
  out.headers = request.headers;
  out.text = request.text;
  out.body = request.body;
  out.body_size = request.body_size;
  out.reach = reach_from(own, url.origin());
  out.verify_tls = own_origin ? setup_.endpoint.verify_tls : !setup_.table->is_insecure(url.origin());
  if (own_origin) out.pinned = setup_.endpoint.pinned;
  // CVE-2020-15157: what proves who we are is for this endpoint alone.
  if (own_origin && !authorization.empty()) out.headers.emplace_back("Authorization", authorization.reveal());
  return out;
}

Session::Answer Session::send_following(const SessionRequest& request, const Secret& authorization) const {
  Url url = request.url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    auto response = setup_.http->send(make_request(request, url, authorization), setup_.cancelled);
    const bool own_origin = url.origin() == setup_.endpoint.base.origin();
    const bool follow = request.method == "GET" || request.method == "HEAD";
    if (!follow || !is_redirect(response->status())) return {std::move(response), own_origin};
    const Url next = follow_location(url, *response);
    response->drain();
    url = next;
  }
  fail(ErrorKind::unavailable, "Get \"{}\": stopped after {} redirects", request.url.printable(), kMaxRedirects);
}

std::unique_ptr<HttpResponse> Session::send_authorized(const SessionRequest& request) {
  for (int round = 0;; ++round) {
    const auto authorization = authorizer_.current();
    Answer answer = send_following(request, authorization.header);
    const bool challenged = answer.response->status() == 401 && answer.own_origin;
    if (!challenged || round == 2 || request.body != nullptr) return std::move(answer.response);
    const auto challenges = parse_challenges(answer.response->headers("WWW-Authenticate"));
    if (!authorizer_.answer(challenges, authorization.generation)) return std::move(answer.response);
    answer.response->drain();
  }
}

std::unique_ptr<HttpResponse> Session::send(const SessionRequest& request) {
  for (int attempt = 1;; ++attempt) {
    const bool last = attempt >= setup_.options.max_attempts || request.body != nullptr;
    std::string retry_after;
    try {
      auto response = send_authorized(request);
      if (last || !is_temporary(response->status())) return response;
      retry_after = response->header("Retry-After");
    } catch (const TransportError& error) {
      if (last || error.failure() != Failure::broken) throw;
    }
    pause(attempt, retry_after);
  }
}

void Session::pause(int attempt, std::string_view retry_after) const {
  milliseconds wait = setup_.options.first_backoff * (1 << std::min(attempt - 1, 10));
  if (const auto seconds = parse_integer<std::uint32_t>(trim(retry_after)))
    wait = std::max<milliseconds>(wait, std::chrono::seconds(std::min(*seconds, 10U)));
  const auto until = std::chrono::steady_clock::now() + std::min(wait, kLongestPause);
  while (std::chrono::steady_clock::now() < until) {
    if (setup_.cancelled && setup_.cancelled()) throw Error(ErrorKind::cancelled, "context canceled");
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(until - std::chrono::steady_clock::now(), milliseconds(100)));
  }
}

}  // namespace bryo::registry

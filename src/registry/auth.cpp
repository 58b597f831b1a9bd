#include "registry/auth.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/strings.hpp"
#include "registry/base64.hpp"
#include "registry/registry_error.hpp"

namespace bryo::registry {

namespace {

constexpr std::size_t kMaxTokenAnswer = 1U << 20;
constexpr std::string_view kClientId = "docker";  // token services know this name

// Nothing that would end a header line or begin another one.
Secret checked_token(std::string token) {
  for (const char c : token)
    if (c <= 0x20 || c >= 0x7f)
      throw Error(ErrorKind::unavailable, "the token service answered with a token that holds control characters");
  return Secret(std::move(token));
}

struct TokenAnswer {
  std::string token;
  std::string access_token;
  std::string refresh_token;
  std::int64_t expires_in = 0;
};

}  // namespace

}  // namespace bryo::registry

template <>
struct bryo::json::Fields<bryo::registry::TokenAnswer> {
  using T = registry::TokenAnswer;
  static constexpr auto list =
      std::tuple{field("token", &T::token), field("access_token", &T::access_token),
                 field("refresh_token", &T::refresh_token), field("expires_in", &T::expires_in)};
};

namespace bryo::registry {

bool may_send_credentials(const Origin& endpoint, bool verified, const Url& realm,
                          const std::vector<std::string>& trusted_realms) {
  const Origin& to = realm.origin();
  if (to == endpoint) return true;
  if (to.scheme != "https") return false;
  const auto is_target = [&](const std::string& name) {
    return iequals(name, to.host_and_port()) || iequals(name, to.host + ":" + std::to_string(to.port));
  };
  if (std::ranges::any_of(trusted_realms, is_target)) return true;
  return verified && endpoint.scheme == "https";
}

Reach reach_from(const Origin& endpoint, const Origin& target) {
  if (endpoint == target) return Reach::anywhere;
  return is_loopback_host(endpoint.host) ? Reach::not_link_local : Reach::not_local;
}

Authorizer::Current Authorizer::current() {
  const std::lock_guard lock(mutex_);
  if (!setup_.credentials.registry_token.empty() && generation_ == 0) {
    header_ = checked_token(setup_.credentials.registry_token.reveal());
    header_ = Secret("Bearer " + header_.reveal());
    generation_ = 1;
  }
  if (bearer_ && std::chrono::steady_clock::now() > expires_) fetch_token(*bearer_);
  return {header_, generation_};
}

bool Authorizer::answer(const std::vector<Challenge>& challenges, unsigned generation) {
  const std::lock_guard lock(mutex_);
  if (generation != generation_) return true;  // another thread was faster
  for (const Challenge& challenge : challenges)
    if (challenge.scheme == "bearer" && use_bearer(challenge)) return true;
  for (const Challenge& challenge : challenges)
    if (challenge.scheme == "basic" && use_basic()) return true;
  return false;
}

Secret Authorizer::refresh_token() {
  const std::lock_guard lock(mutex_);
  return refresh_token_;
}

bool Authorizer::use_basic() {
  const Credentials& credentials = setup_.credentials;
  if (credentials.password.empty() || generation_ > 0) return false;
  header_ = Secret("Basic " + base64_encode(credentials.username + ":" + credentials.password.reveal()));
  ++generation_;
  return true;
}

bool Authorizer::use_bearer(const Challenge& challenge) {
  if (!setup_.credentials.registry_token.empty()) return false;
  bearer_ = challenge;
  fetch_token(challenge);
  return true;
}

Url Authorizer::realm_of(const Challenge& challenge) const {
  const Origin& endpoint = setup_.endpoint.base.origin();
  const Url realm = Url::parse(challenge.get("realm"));
  if (endpoint.scheme == "https" && realm.origin().scheme != "https")
    fail(ErrorKind::permission, "registry {} names a token service without TLS, {}: refused", endpoint.host_and_port(),
         realm.printable());
  return realm;
}

HttpRequest Authorizer::token_request(const Challenge& challenge, const Url& realm, bool with_credentials,
                                      std::string& body) const {
  const Credentials& credentials = setup_.credentials;
  HttpRequest request;
  request.url = realm;
  request.reach = reach_from(setup_.endpoint.base.origin(), realm.origin());
  request.verify_tls = realm.origin() == setup_.endpoint.base.origin() ? setup_.endpoint.verify_tls
                                                                       : !setup_.table->is_insecure(realm.origin());
  const std::string service = challenge.get("service");
  auto scopes = setup_.scopes;
  if (const std::string asked = challenge.get("scope");
      !asked.empty() && std::ranges::find(scopes, asked) == scopes.end())
    scopes.push_back(asked);
  if (with_credentials && !credentials.identity_token.empty()) {
    body = "grant_type=refresh_token&client_id=" + std::string(kClientId) + "&service=" + percent_encode(service) +
           "&scope=" + percent_encode(join(scopes, " ")) +
           "&refresh_token=" + percent_encode(credentials.identity_token.reveal());
    request.method = "POST";
    request.text = body;
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    return request;
  }
  if (!service.empty()) request.url = request.url.with_query("service", service);
  for (const std::string& scope : scopes) request.url = request.url.with_query("scope", scope);
  if (!with_credentials || credentials.password.empty()) return request;
  request.url = request.url.with_query("account", credentials.username);
  if (setup_.want_refresh_token)
    request.url = request.url.with_query("offline_token", "true").with_query("client_id", kClientId);
  request.headers.emplace_back("Authorization",
                               "Basic " + base64_encode(credentials.username + ":" + credentials.password.reveal()));
  return request;
}

// One redirect after another within the realm's own origin only: what is sent here may be a password.
void Authorizer::fetch_token(const Challenge& challenge) {
  const Url realm = realm_of(challenge);
  const Endpoint& endpoint = setup_.endpoint;
  const bool allowed = may_send_credentials(endpoint.base.origin(), endpoint.verify_tls, realm, setup_.trusted_realms);
  if (!allowed && !setup_.credentials.empty())
    log::warning("registry {} asks for its users' credentials at {}: they are not sent there (see trusted-realms)",
                 endpoint.base.origin().str(), realm.origin().str());
  std::string body;
  HttpRequest request = token_request(challenge, realm, allowed, body);
  for (int hop = 0; hop < 4; ++hop) {
    const auto response = setup_.http->send(request, setup_.cancelled);
    const int status = response->status();
    if (status >= 300 && status < 400 && request.method == "GET") {
      const Url next = request.url.resolve(response->header("Location"));
      if (next.origin() != realm.origin())
        fail(ErrorKind::permission, "token service {} redirects to {}: refused", realm.printable(), next.printable());
      request.url = next;
      continue;
    }
    if (status != 200) throw registry_error(*response, "Get \"" + realm.printable() + "\"");
    take_token(response->text(kMaxTokenAnswer));
    return;
  }
  fail(ErrorKind::unavailable, "token service {} redirects without end", realm.printable());
}

void Authorizer::take_token(std::string_view text) {
  auto answer = json::decode<TokenAnswer>(json::parse(text));
  std::string& token = answer.token.empty() ? answer.access_token : answer.token;
  if (token.empty()) throw Error(ErrorKind::unavailable, "the token service answered without a token");
  const Secret checked = checked_token(std::move(token));
  header_ = Secret("Bearer " + checked.reveal());
  refresh_token_ = Secret(std::move(answer.refresh_token));
  // The specification's default and least; renewed a little before it ends, and the clock of the service is not used.
  const auto life = std::chrono::seconds(std::clamp<std::int64_t>(answer.expires_in, 60, 86400));
  expires_ = std::chrono::steady_clock::now() + life * 9 / 10;
  ++generation_;
}

}  // namespace bryo::registry

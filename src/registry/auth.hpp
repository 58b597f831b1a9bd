// What is sent as Authorization to one endpoint, and how is it got?
//
// The rule (D9, CVE-2020-15157, CVE-2026-33540): credentials belong to one origin, the endpoint that the user's
// reference names. They are shown to that endpoint, and to a token service ("realm") only if
//   - the realm has the endpoint's own scheme, host and port, or
//   - the realm is https, and its host is listed as a trusted realm, or
//   - the realm is https, and the endpoint that named it was reached over verified https. That endpoint may ask for the
//     password itself (Basic), so naming its token service gives nothing away: this is how Docker Hub, GitLab and
//     others work. An endpoint over http or unverified https could be anybody: its foreign realm gets no credentials,
//     only an anonymous question, and a warning says so.
// An https endpoint with an http realm is refused altogether. A redirect never takes an Authorization to another
// origin, a challenge from another origin is never answered, mirrors get none of docker.io's credentials, token
// services are followed within their origin only. Tokens are held in memory, and go to their endpoint only.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "registry/challenge.hpp"
#include "registry/credentials.hpp"
#include "registry/endpoints.hpp"
#include "registry/http.hpp"

namespace bryo::registry {

// The rule above, pure. `verified`: the endpoint was reached over https with a verified certificate.
bool may_send_credentials(const Origin& endpoint, bool verified, const Url& realm,
                          const std::vector<std::string>& trusted_realms);

// Where a token service or redirect target named by `endpoint` may be.
Reach reach_from(const Origin& endpoint, const Origin& target);

class Authorizer {
 public:
  struct Setup {
    HttpClient* http = nullptr;
    const EndpointTable* table = nullptr;
    Endpoint endpoint;
    Credentials credentials;          // empty for mirrors
    std::vector<std::string> scopes;  // "repository:library/busybox:pull"
    std::vector<std::string> trusted_realms;
    bool want_refresh_token = false;  // login
    Cancelled cancelled;
  };
  explicit Authorizer(Setup setup) : setup_(std::move(setup)) {}

  struct Current {
    Secret header;  // value of Authorization; empty: none
    unsigned generation = 0;
  };
  Current current();
  // After a 401: true when there is something better to send than what `generation` was. Fetches a token where that is
  // asked for; threads that ask at the same time share it. Error{unauthorized} when the token service refuses.
  bool answer(const std::vector<Challenge>& challenges, unsigned generation);
  // Login: what the token service gave besides the token.
  Secret refresh_token();

 private:
  bool use_basic();
  bool use_bearer(const Challenge& challenge);
  Url realm_of(const Challenge& challenge) const;
  HttpRequest token_request(const Challenge& challenge, const Url& realm, bool with_credentials,
                            std::string& body) const;
  void fetch_token(const Challenge& challenge);
  void take_token(std::string_view text);

  const Setup setup_;
  std::mutex mutex_;
  // Guarded by mutex_.
  Secret header_;
  unsigned generation_ = 0;
  std::chrono::steady_clock::time_point expires_ = std::chrono::steady_clock::time_point::max();
  std::optional<Challenge> bearer_;  // asked again when the token expires
  Secret refresh_token_;
};

}  // namespace bryo::registry

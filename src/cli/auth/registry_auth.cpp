#include "cli/auth/registry_auth.hpp"

#include "cli/auth/base64.hpp"
#include "cli/format/json_text.hpp"

namespace bryo::cli {

std::string registry_key(const std::string& server) {
  const std::string host = registry_host(server);
  if (host.empty() || host == kDockerHub || host == "index.docker.io" || host == "registry-1.docker.io")
    return std::string(kDockerHubServer);
  return host;
}

std::string registry_key(const Reference& reference) { return registry_key(reference.domain); }

std::string registry_auth_header(const Credentials& credentials, const std::string& registry) {
  json::Object fields;
  if (!credentials.empty()) {
    if (!credentials.username.empty()) fields["username"] = credentials.username;
    if (!credentials.password.empty()) fields["password"] = credentials.password;
    if (!credentials.identity_token.empty()) fields["identitytoken"] = credentials.identity_token;
    fields["serveraddress"] = registry;
  }
  return encode_base64(compact_json(fields), true);
}

}  // namespace bryo::cli

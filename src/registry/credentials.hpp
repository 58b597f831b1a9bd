// Who pulls? The content of X-Registry-Auth (Engine API, "Authentication"): base64url of a JSON AuthConfig.
#pragma once

#include <string>
#include <string_view>

#include "base/json.hpp"
#include "registry/secret.hpp"

namespace bryo::registry {

struct Credentials {
  std::string username;
  Secret password;
  Secret identity_token;  // OAuth2 refresh token, in place of a password
  Secret registry_token;  // a bearer token to be used as it is
  std::string server_address;

  bool empty() const { return password.empty() && identity_token.empty() && registry_token.empty(); }
  // Decoded JSON {"username":…,"password":…,"auth":…,"serveraddress":…,"identitytoken":…,"registrytoken":…}; null gives
  // empty credentials. Error{invalid_argument}, which never quotes the input.
  static Credentials from_json(const json::Value& json);
  // The header's value itself; empty text gives empty credentials.
  static Credentials from_header(std::string_view base64);
};

}  // namespace bryo::registry

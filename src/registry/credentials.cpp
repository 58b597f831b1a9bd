#include "registry/credentials.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"
#include "registry/base64.hpp"

namespace bryo::registry {

namespace {

struct Fields {
  std::string username;
  std::string password;
  std::string auth;  // base64 of "user:password", in place of both
  std::string server_address;
  std::string identity_token;
  std::string registry_token;
};

[[noreturn]] void fail_credentials() {
  // Never the input, not even a part of it.
  throw Error(ErrorKind::invalid_argument, "X-Registry-Auth: not the base64 of a JSON object with credentials");
}

}  // namespace

}  // namespace bryo::registry

template <>
struct bryo::json::Fields<bryo::registry::Fields> {
  using T = registry::Fields;
  static constexpr auto list = std::tuple{field("username", &T::username),
                                          field("password", &T::password),
                                          field("auth", &T::auth),
                                          field("serveraddress", &T::server_address),
                                          field("identitytoken", &T::identity_token),
                                          field("registrytoken", &T::registry_token)};
};

namespace bryo::registry {

Credentials Credentials::from_json(const json::Value& json) {
  if (json.is_null()) return {};
  Fields fields;
  try {
    fields = json::decode<Fields>(json);
  } catch (const Error&) {
    fail_credentials();
  }
  if (fields.username.empty() && !fields.auth.empty()) {
    const auto decoded = base64_decode(fields.auth);
    const auto pair = decoded ? split_once(*decoded, ':') : std::nullopt;
    if (!pair) fail_credentials();
    fields.username = std::string(pair->first);
    fields.password = std::string(pair->second);
  }
  return {fields.username, Secret(std::move(fields.password)), Secret(std::move(fields.identity_token)),
          Secret(std::move(fields.registry_token)), fields.server_address};
}

Credentials Credentials::from_header(std::string_view base64) {
  if (trim(base64).empty()) return {};
  const auto text = base64_decode(trim(base64));
  if (!text) fail_credentials();
  if (trim(*text).empty()) return {};
  json::Value value;
  try {
    value = json::parse(*text);
  } catch (const Error&) {
    fail_credentials();
  }
  return from_json(value);
}

}  // namespace bryo::registry

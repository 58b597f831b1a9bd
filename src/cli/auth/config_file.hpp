// ~/.docker/config.json, shared with Docker's own client: credentials, headers, default formats. Fields that we do not
// know are kept when the file is written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"

namespace bryo::cli {

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;

  bool empty() const { return username.empty() && password.empty() && identity_token.empty(); }
};

class ConfigFile {
 public:
  // $DOCKER_CONFIG, else $HOME/.docker; `directory` (from --config) wins.
  static std::string default_directory();
  // A missing file is an empty one; throws Error{invalid_argument} for a broken one.
  static ConfigFile load(const std::string& directory);

  std::string path() const { return directory_ + "/config.json"; }
  // psFormat, imagesFormat, detachKeys …; empty when not set.
  std::string text(std::string_view field) const;
  std::vector<std::pair<std::string, std::string>> http_headers() const;
  // Writes the file; an empty value takes the field away.
  void set_text(std::string_view field, const std::string& value);

  // Credentials for exactly this registry (host, host:port, or the hub's server address): from its helper, from the
  // store, or from the file. Those of another registry are never returned (D9).
  Credentials credentials(const std::string& registry) const;
  // Name of the helper that holds this registry's credentials; empty: the file itself.
  std::string helper_for(const std::string& registry) const;
  void store(const std::string& registry, const Credentials& credentials);
  // False when there was nothing to remove.
  bool erase(const std::string& registry);

 private:
  void write() const;
  std::optional<std::string> stored_key(const std::string& registry) const;

  std::string directory_;
  json::Object fields_;
};

// "https://host/v1/" → "host".
std::string registry_host(std::string_view server);

}  // namespace bryo::cli

// The X-Registry-Auth header: who the daemon should be at a registry.
#pragma once

#include <string>

#include "cli/auth/config_file.hpp"
#include "cli/auth/reference.hpp"

namespace bryo::cli {

// The key of a registry in config.json: its host and port, or the hub's server address.
std::string registry_key(const Reference& reference);
std::string registry_key(const std::string& server);
// Base 64 of {"username":…,"serveraddress":…}; an empty object when there are no credentials.
std::string registry_auth_header(const Credentials& credentials, const std::string& registry);

}  // namespace bryo::cli

// WWW-Authenticate (RFC 9110, 11.6.1): what does the registry want to see? Pure; malformed parts are left out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bryo::registry {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case: realm, service, scope, error

  std::string get(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string() : found->second;
  }
};

// Of all headers together, in order.
std::vector<Challenge> parse_challenges(const std::vector<std::string>& headers);

}  // namespace bryo::registry

// At which addresses is a registry tried, and in which order? docker.io: its mirrors, then registry-1.docker.io.
// Others: https; when listed as insecure, https unverified and then http. A value, made from the options; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "registry/addresses.hpp"
#include "registry/options.hpp"
#include "registry/url.hpp"

namespace bryo::registry {

struct Endpoint {
  Url base;  // "/v2/…" is appended to its path
  bool mirror = false;
  bool verify_tls = true;
  std::vector<std::string> pinned;

  Url at(std::string_view path) const;
};

class EndpointTable {
 public:
  // Checks mirrors and insecure entries: Error{invalid_argument} with Docker's texts.
  explicit EndpointTable(const RegistryOptions& options);

  // `domain`: as in a reference, "docker.io", "127.0.0.1:5000".
  std::vector<Endpoint> endpoints(std::string_view domain, bool for_push) const;
  // Of a host that a registry sends us to: by name and literal address, never by looking it up.
  bool is_insecure(const Origin& origin) const;
  // RegistryConfig of GET /info.
  json::Value describe() const;

 private:
  bool matches(std::string_view host, std::string_view host_and_port) const;
  std::vector<std::string> pins_of(const Origin& origin) const;
  std::vector<Url> mirrors_;
  std::vector<std::string> hosts_;  // lower case
  std::vector<Cidr> networks_;      // with the loopback
};

}  // namespace bryo::registry

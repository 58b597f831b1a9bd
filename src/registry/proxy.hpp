// Which proxy, if any, does a request take? Go's rules, which people write their NO_PROXY for: host names with their
// subdomains (".example.com": subdomains only), addresses, CIDRs, "*", each with or without ":port"; loopback never.
#pragma once

#include <string>

#include "registry/options.hpp"
#include "registry/url.hpp"

namespace bryo::registry {

class ProxyRules {
 public:
  // Options first, then the environment (HTTP_PROXY is read in capitals too: this is no CGI program).
  explicit ProxyRules(const RegistryOptions& options);
  // "" for a direct connection.
  std::string proxy_for(const Origin& origin) const;

 private:
  bool is_excluded(const Origin& origin) const;
  std::string http_;
  std::string https_;
  std::string none_;
};

}  // namespace bryo::registry

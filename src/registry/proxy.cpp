#include "registry/proxy.hpp"

#include <cstdlib>

#include "base/strings.hpp"
#include "registry/addresses.hpp"

namespace bryo::registry {

namespace {

std::string first_of(const std::string& option, const char* upper, const char* lower) {
  if (!option.empty()) return option;
  for (const char* name : {upper, lower})
    if (const char* text = std::getenv(name); text != nullptr && *text != '\0') return text;
  return {};
}

bool name_matches(std::string_view host, std::string_view rule) {
  if (rule.starts_with("*.")) rule.remove_prefix(1);
  if (rule.starts_with('.')) return host.ends_with(rule);
  return host == rule ||
         (host.size() > rule.size() && host.ends_with(rule) && host[host.size() - rule.size() - 1] == '.');
}

}  // namespace

ProxyRules::ProxyRules(const RegistryOptions& options)
    : http_(first_of(options.http_proxy, "HTTP_PROXY", "http_proxy")),
      https_(first_of(options.https_proxy, "HTTPS_PROXY", "https_proxy")),
      none_(first_of(options.no_proxy, "NO_PROXY", "no_proxy")) {}

bool ProxyRules::is_excluded(const Origin& origin) const {
  if (is_loopback_host(origin.host)) return true;
  const auto address = parse_address(origin.host);
  for (const std::string_view word : split(none_, ',')) {
    std::string rule = to_lower(trim(word));
    if (rule.empty()) continue;
    if (rule == "*") return true;
    if (const auto cidr = Cidr::parse(rule)) {
      if (address && cidr->contains(*address)) return true;
      continue;
    }
    const auto colon = rule.rfind(':');
    const bool has_port = colon != std::string::npos && rule.find(':') == colon;
    if (has_port && rule.substr(colon + 1) != std::to_string(origin.port)) continue;
    if (has_port) rule = rule.substr(0, colon);
    if (name_matches(origin.host, rule)) return true;
  }
  return false;
}

std::string ProxyRules::proxy_for(const Origin& origin) const {
  const std::string& proxy = origin.scheme == "https" ? https_ : http_;
  return proxy.empty() || is_excluded(origin) ? std::string() : proxy;
}

}  // namespace bryo::registry

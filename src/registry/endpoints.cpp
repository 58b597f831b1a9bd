#include "registry/endpoints.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::registry {

namespace {

constexpr std::string_view kHubDomain = "docker.io";
constexpr std::string_view kHubAddress = "https://registry-1.docker.io";
constexpr std::size_t kImplicitNetworks = 2;  // at the front of networks_

Url parse_mirror(const std::string& text) {
  try {
    const Url url = Url::parse(text);
    if (url.target().find('?') != std::string::npos) throw Error(ErrorKind::invalid_argument, "it has a query");
    return url;
  } catch (const Error& error) {
    throw error.within(fmt::format("invalid mirror \"{}\"", printable(text.substr(0, text.find('?')), 100)));
  }
}

// All addresses of a name, as text.
std::vector<std::string> look_up(const std::string& host) {
  struct addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  struct addrinfo* list = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {};
  const std::unique_ptr<struct addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<std::string> out;
  for (const auto* entry = list; entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      out.emplace_back(text);
  }
  return out;
}

}  // namespace

Url Endpoint::at(std::string_view path) const {
  std::string prefix = base.target();
  while (prefix.ends_with('/')) prefix.pop_back();
  return Url::parse(base.origin().str() + prefix + std::string(path));
}

EndpointTable::EndpointTable(const RegistryOptions& options) {
  for (const char* network : {"127.0.0.0/8", "::1/128"}) networks_.push_back(*Cidr::parse(network));
  for (const std::string& text : options.insecure) {
    if (text.find("://") != std::string::npos)
      fail(ErrorKind::invalid_argument, "insecure registry {} should not contain '://'", printable(text, 100));
    if (const auto cidr = Cidr::parse(text)) {
      networks_.push_back(*cidr);
      continue;
    }
    try {
      Url::parse("http://" + text + "/");
    } catch (const Error& error) {
      throw error.within(fmt::format("insecure registry {} is not valid", printable(text, 100)));
    }
    hosts_.push_back(to_lower(text));
  }
  for (const std::string& text : options.mirrors) mirrors_.push_back(parse_mirror(text));
}

bool EndpointTable::matches(std::string_view host, std::string_view host_and_port) const {
  if (std::ranges::find(hosts_, host_and_port) != hosts_.end()) return true;
  if (is_loopback_host(host)) return true;
  const auto address = parse_address(host);
  return address && std::ranges::any_of(networks_, [&](const Cidr& cidr) { return cidr.contains(*address); });
}

bool EndpointTable::is_insecure(const Origin& origin) const { return matches(origin.host, origin.host_and_port()); }

// A name belongs to a CIDR of --insecure-registry when every address it has lies inside; these very addresses are then
// used, so that a second look-up cannot lead elsewhere. Empty: it does not belong.
std::vector<std::string> EndpointTable::pins_of(const Origin& origin) const {
  if (networks_.size() == kImplicitNetworks || parse_address(origin.host)) return {};
  const auto addresses = look_up(origin.host);
  std::string list;
  for (const std::string& text : addresses) {
    const auto address = parse_address(text);
    if (!address || std::ranges::none_of(networks_, [&](const Cidr& cidr) { return cidr.contains(*address); }))
      return {};
    list += (list.empty() ? "" : ",") + (text.find(':') == std::string::npos ? text : "[" + text + "]");
  }
  if (list.empty()) return {};
  return {fmt::format("{}:{}:{}", origin.host, origin.port, list)};
}

std::vector<Endpoint> EndpointTable::endpoints(std::string_view domain, bool for_push) const {
  std::vector<Endpoint> out;
  if (domain == kHubDomain) {
    if (!for_push)
      for (const Url& mirror : mirrors_) out.push_back({mirror, true, !is_insecure(mirror.origin()), {}});
    out.push_back({Url::parse(kHubAddress), false, true, {}});
    return out;
  }
  const Url secure = Url::parse("https://" + std::string(domain));
  bool insecure = matches(secure.origin().host, to_lower(domain));
  std::vector<std::string> secure_pins;
  if (!insecure) {
    secure_pins = pins_of(secure.origin());
    insecure = !secure_pins.empty();
  }
  out.push_back({secure, false, !insecure, secure_pins});
  if (!insecure) return out;
  const Url plain = Url::parse("http://" + std::string(domain));
  out.push_back({plain, false, false, secure_pins.empty() ? std::vector<std::string>() : pins_of(plain.origin())});
  if (!secure_pins.empty() && out.back().pinned.empty()) out.pop_back();
  return out;
}

json::Value EndpointTable::describe() const {
  json::Array networks;
  for (const Cidr& cidr : networks_) networks.emplace_back(cidr.str());
  json::Array mirrors;
  for (const Url& mirror : mirrors_) mirrors.emplace_back(mirror.str());
  json::Object indexes;
  indexes[std::string(kHubDomain)] =
      json::Object{{"Name", std::string(kHubDomain)}, {"Mirrors", mirrors}, {"Secure", true}, {"Official", true}};
  for (const std::string& host : hosts_)
    indexes[host] = json::Object{{"Name", host}, {"Mirrors", json::Array()}, {"Secure", false}, {"Official", false}};
  return json::Object{{"AllowNondistributableArtifactsCIDRs", json::Array()},
                      {"AllowNondistributableArtifactsHostnames", json::Array()},
                      {"InsecureRegistryCIDRs", networks},
                      {"IndexConfigs", indexes},
                      {"Mirrors", mirrors}};
}

}  // namespace bryo::registry

#include "cli/options/create_network.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"

namespace bryo::cli {
namespace {

using json::Array;
using json::Object;
using json::Value;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

bool is_user_defined(std::string_view network) {
  return network != "default" && network != "bridge" && network != "host" && network != "none" &&
         !network.starts_with("container:");
}

bool has_endpoint(std::string_view network) {
  return network != "host" && network != "none" && !network.starts_with("container:");
}

// The options that stand beside --network describe the first network.
void add_container_options(const Arguments& arguments, Object& network) {
  struct Pair {
    const char* option;
    const char* field;
    const char* words;
    bool list;
  };
  constexpr Pair pairs[] = {
      {"network-alias", "Aliases", "network-alias and per-network alias", true},
      {"link", "Links", "link and per-network links", true},
      {"ip", "IPv4Address", "ip and per-network IPv4 address", false},
      {"ip6", "IPv6Address", "ip6 and per-network IPv6 address", false},
      {"mac-address", "MacAddress", "mac-address and per-network MAC address", false},
      {"link-local-ip", "LinkLocalIPs", "link-local-ip and per-network link-local IP addresses", true}};
  for (const Pair& pair : pairs) {
    if (!arguments.given(pair.option)) continue;
    if (network.contains(pair.field)) refuse(fmt::format("conflicting options: cannot specify both --{}", pair.words));
    if (!pair.list) {
      network[pair.field] = arguments.text(pair.option);
      continue;
    }
    Array values;
    for (const std::string& text : arguments.texts(pair.option)) values.push_back(Value(text));
    network[pair.field] = std::move(values);
  }
}

// The endpoint as the API has it: addresses go below IPAMConfig.
Object endpoint_of(const Object& network) {
  Object endpoint;
  Object addresses;
  for (const auto& item : network) {
    const std::string_view key(item.key().data(), item.key().size());
    if (key == "IPv4Address" || key == "IPv6Address" || key == "LinkLocalIPs")
      addresses[item.key()] = item.value();
    else if (key != "name" && key != "MacAddress")
      endpoint[item.key()] = item.value();
  }
  if (!addresses.empty()) endpoint["IPAMConfig"] = std::move(addresses);
  return endpoint;
}

void check_mac(const Object& network) {
  const Value* mac = network.if_contains("MacAddress");
  if (mac != nullptr && !is_mac_address(mac->get_string().c_str()))
    refuse(fmt::format("{} is not a valid mac address", printable(mac->get_string().c_str())));
}

std::vector<Object> networks_of(const Arguments& arguments) {
  std::vector<Object> networks;
  for (const Value& value : arguments.values("network")) networks.push_back(value.get_object());
  if (networks.empty()) networks.push_back(Object{{"name", "default"}});
  add_container_options(arguments, networks.front());
  bool user_defined = false;
  bool predefined = false;
  for (const Object& network : networks) {
    const std::string name = network.at("name").as_string().c_str();
    (is_user_defined(name) ? user_defined : predefined) = true;
    if (!is_user_defined(name) && network.contains("Aliases"))
      refuse("network-scoped aliases are only supported for user-defined networks");
    check_mac(network);
  }
  if (user_defined && predefined)
    refuse("conflicting options: cannot attach both user-defined and non-user-defined network-modes");
  return networks;
}

}  // namespace

void add_network(const Arguments& arguments, int api_minor, Object& body, Object& host) {
  Object endpoints;
  const std::vector<Object> networks = networks_of(arguments);
  for (const Object& network : networks) {
    const std::string name = network.at("name").as_string().c_str();
    if (endpoints.contains(name)) refuse(fmt::format("network \"{}\" is specified multiple times", printable(name)));
    if (&network == &networks.front()) host["NetworkMode"] = name;
    if (!has_endpoint(name)) continue;
    Object endpoint = endpoint_of(network);
    if (!is_user_defined(name)) endpoint.erase("Links");
    if (const Value* mac = network.if_contains("MacAddress")) {
      // API 1.44 moved it from the container to the endpoint.
      if (api_minor >= 44)
        endpoint["MacAddress"] = *mac;
      else
        body["MacAddress"] = *mac;
    }
    endpoints[name] = std::move(endpoint);
  }
  if (endpoints.size() == 1 && endpoints.contains("default") && endpoints["default"].get_object().empty()) return;
  if (!endpoints.empty()) body["NetworkingConfig"] = Object{{"EndpointsConfig", std::move(endpoints)}};
}

}  // namespace bryo::cli

// A container's place in its networks, as create, connect and inspect speak of it (Engine API v1.47).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/types/host_config.hpp"
#include "engine/types/values.hpp"

namespace bryo::engine {

struct EndpointIpam {
  std::string ipv4_address;
  std::string ipv6_address;
  std::vector<std::string> link_local_ips;
};

// Requested at create and connect (ipam, links, aliases, mac); the rest is filled while the container is connected.
struct EndpointSettings {
  std::optional<EndpointIpam> ipam_config;
  std::optional<std::vector<std::string>> links;
  std::optional<std::vector<std::string>> aliases;
  std::string network_id;
  std::string endpoint_id;
  std::string gateway;
  std::string ip_address;
  int ip_prefix_len = 0;
  std::string ipv6_gateway;
  std::string global_ipv6_address;
  int global_ipv6_prefix_len = 0;
  std::string mac_address;
  std::optional<Labels> driver_opts;
  std::optional<std::vector<std::string>> dns_names;  // of user-defined networks
};
using EndpointsConfig = std::map<std::string, EndpointSettings>;  // network name →

struct NetworkingConfig {
  EndpointsConfig endpoints_config;
};

struct NetworkSettings {
  std::string bridge;
  std::string sandbox_id;
  bool hairpin_mode = false;
  std::string link_local_ipv6_address;
  int link_local_ipv6_prefix_len = 0;
  std::map<std::string, std::optional<std::vector<PortBinding>>> ports;
  std::string sandbox_key;
  std::string endpoint_id;  // the default bridge's, repeated for old clients, up to mac_address
  std::string gateway;
  std::string global_ipv6_address;
  int global_ipv6_prefix_len = 0;
  std::string ip_address;
  int ip_prefix_len = 0;
  std::string ipv6_gateway;
  std::string mac_address;
  EndpointsConfig networks;
};

}  // namespace bryo::engine

namespace bryo::json {

template <>
struct Fields<engine::EndpointIpam> {
  using T = engine::EndpointIpam;
  static constexpr auto list =
      std::tuple{field("IPv4Address", &T::ipv4_address, omit_empty), field("IPv6Address", &T::ipv6_address, omit_empty),
                 field("LinkLocalIPs", &T::link_local_ips, omit_empty)};
};

template <>
struct Fields<engine::EndpointSettings> {
  using T = engine::EndpointSettings;
  static constexpr auto list = std::tuple{field("IPAMConfig", &T::ipam_config),
                                          field("Links", &T::links),
                                          field("Aliases", &T::aliases),
                                          field("NetworkID", &T::network_id),
                                          field("EndpointID", &T::endpoint_id),
                                          field("Gateway", &T::gateway),
                                          field("IPAddress", &T::ip_address),
                                          field("IPPrefixLen", &T::ip_prefix_len),
                                          field("IPv6Gateway", &T::ipv6_gateway),
                                          field("GlobalIPv6Address", &T::global_ipv6_address),
                                          field("GlobalIPv6PrefixLen", &T::global_ipv6_prefix_len),
                                          field("MacAddress", &T::mac_address),
                                          field("DriverOpts", &T::driver_opts),
                                          field("DNSNames", &T::dns_names)};
};

template <>
struct Fields<engine::NetworkingConfig> {
  using T = engine::NetworkingConfig;
  static constexpr auto list = std::tuple{field("EndpointsConfig", &T::endpoints_config)};
};

template <>
struct Fields<engine::NetworkSettings> {
  using T = engine::NetworkSettings;
  static constexpr auto list = std::tuple{field("Bridge", &T::bridge),
                                          field("SandboxID", &T::sandbox_id),
                                          field("HairpinMode", &T::hairpin_mode),
                                          field("LinkLocalIPv6Address", &T::link_local_ipv6_address),
                                          field("LinkLocalIPv6PrefixLen", &T::link_local_ipv6_prefix_len),
                                          field("Ports", &T::ports),
                                          field("SandboxKey", &T::sandbox_key),
                                          field("EndpointID", &T::endpoint_id),
                                          field("Gateway", &T::gateway),
                                          field("GlobalIPv6Address", &T::global_ipv6_address),
                                          field("GlobalIPv6PrefixLen", &T::global_ipv6_prefix_len),
                                          field("IPAddress", &T::ip_address),
                                          field("IPPrefixLen", &T::ip_prefix_len),
                                          field("IPv6Gateway", &T::ipv6_gateway),
                                          field("MacAddress", &T::mac_address),
                                          field("Networks", &T::networks)};
};

}  // namespace bryo::json

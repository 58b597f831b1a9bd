// A container's place in one network: what is asked for, and what it got. Plain values; the engine stores Endpoint with
// its container and hands it back to NetworkManager::restore() after a restart. Field names are those of Docker's
// EndpointSettings where it has them.
#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"

namespace bryo::network {

// Below /proc/sys/net of the container, before the interface comes up: <place>/<interface>/<name>.
struct InterfaceSetting {
  std::string place;  // "ipv4/conf"
  std::string name;   // "log_martians"
  std::string value;
};

struct EndpointRequest {
  std::string container_id;    // 64 hex digits
  std::string container_name;  // without the leading slash
  std::string hostname;
  std::vector<std::string> aliases;
  std::vector<std::string> links;  // "container:alias", seen by this container only
  std::string ipv4;                // static address, empty: choose
  std::string ipv6;
  std::string mac;  // empty: 02:42 and the IPv4 address
  std::vector<InterfaceSetting> settings;
};

struct Endpoint {
  std::string endpoint_id;
  std::string network_id;
  std::string network_name;
  std::string container_id;
  std::string container_name;
  std::string interface_name;  // inside the container: "eth0"; set by attach()
  std::string host_interface;  // the other end, a port of the bridge
  std::string mac;
  std::string ip_address;
  int ip_prefix_length = 0;
  std::string gateway;
  std::string ipv6_address;
  int ipv6_prefix_length = 0;
  std::string ipv6_gateway;
  std::vector<std::string> aliases;
  std::vector<std::string> links;
  std::vector<std::string> dns_names;      // container name, aliases, short id, host name; without repetition
  std::vector<InterfaceSetting> settings;  // for attach(); not stored
};

// What `network inspect` lists below Containers, keyed by container id.
struct EndpointSummary {
  std::string container_id;
  std::string name;
  std::string endpoint_id;
  std::string mac;
  std::string ipv4;  // with prefix length: "172.17.0.2/16"
  std::string ipv6;
};

}  // namespace bryo::network

template <>
struct bryo::json::Fields<bryo::network::Endpoint> {
  using T = bryo::network::Endpoint;
  static constexpr auto list = std::tuple{field("EndpointID", &T::endpoint_id),
                                          field("NetworkID", &T::network_id),
                                          field("NetworkName", &T::network_name),
                                          field("ContainerID", &T::container_id),
                                          field("ContainerName", &T::container_name),
                                          field("InterfaceName", &T::interface_name, omit_empty),
                                          field("HostInterface", &T::host_interface, omit_empty),
                                          field("MacAddress", &T::mac),
                                          field("IPAddress", &T::ip_address),
                                          field("IPPrefixLen", &T::ip_prefix_length),
                                          field("Gateway", &T::gateway),
                                          field("GlobalIPv6Address", &T::ipv6_address),
                                          field("GlobalIPv6PrefixLen", &T::ipv6_prefix_length),
                                          field("IPv6Gateway", &T::ipv6_gateway),
                                          field("Aliases", &T::aliases),
                                          field("Links", &T::links),
                                          field("DNSNames", &T::dns_names)};
};

template <>
struct bryo::json::Fields<bryo::network::EndpointSummary> {
  using T = bryo::network::EndpointSummary;
  static constexpr auto list =
      std::tuple{field("Name", &T::name), field("EndpointID", &T::endpoint_id), field("MacAddress", &T::mac),
                 field("IPv4Address", &T::ipv4), field("IPv6Address", &T::ipv6)};
};

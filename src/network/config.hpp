// What a network is, as it is stored and as clients inspect it: plain values, in Docker's field names (Engine API,
// "Network"). Who has which address is in NetworkManager, not here.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace bryo::network {

// The driver whose containers' connections go past the user-mode network (src/bypass), and the name of the predefined
// network with this driver.
inline constexpr std::string_view kBypass = "bypass";

// Options of the bridge driver that we know; others are kept and shown, and do nothing.
inline constexpr std::string_view kOptionBridgeName = "com.docker.network.bridge.name";
inline constexpr std::string_view kOptionDefaultBridge = "com.docker.network.bridge.default_bridge";
inline constexpr std::string_view kOptionIcc = "com.docker.network.bridge.enable_icc";
inline constexpr std::string_view kOptionMasquerade = "com.docker.network.bridge.enable_ip_masquerade";
inline constexpr std::string_view kOptionHostBinding = "com.docker.network.bridge.host_binding_ipv4";
inline constexpr std::string_view kOptionMtu = "com.docker.network.driver.mtu";

// One subnet of a network.
struct IpamPool {
  std::string subnet;    // "172.18.0.0/16"
  std::string ip_range;  // part of the subnet that containers get addresses from; empty: all of it
  std::string gateway;   // empty in a request: the first address
  std::map<std::string, std::string> aux_addresses;
};

struct IpamConfig {
  std::string driver = "default";
  std::map<std::string, std::string> options;
  std::vector<IpamPool> pools;
};

struct NetworkConfig {
  std::string id;
  std::string name;
  std::string driver = "bridge";  // bridge, bypass, host, null
  std::string scope = "local";
  bool internal = false;    // no way out: no default route, no forwarding, no external DNS
  bool attachable = false;  // kept and shown; means something to swarm only
  bool ingress = false;
  bool enable_ipv6 = false;
  IpamConfig ipam;
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
  std::string created;  // RFC 3339

  // bridge, bypass, host or none: made by the engine, cannot be removed.
  bool predefined() const {
    return name == "bridge" || name == "host" || name == "none" || (name == kBypass && driver == kBypass);
  }
  // It is a bridge. The driver bypass is one, too: only the engine treats its containers otherwise.
  bool is_bridge() const { return driver == "bridge" || driver == kBypass; }
  // Names are resolved by the embedded DNS server in every bridge network but the default one.
  bool has_dns() const { return is_bridge() && !predefined(); }
};

// A request to make a network. Fields as in NetworkConfig; empty pools mean "choose".
struct NetworkCreate {
  std::string name;
  std::string driver = "bridge";
  std::string scope;
  bool internal = false;
  bool attachable = false;
  bool ingress = false;
  bool enable_ipv6 = false;
  IpamConfig ipam;
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
};

}  // namespace bryo::network

template <>
struct bryo::json::Fields<bryo::network::IpamPool> {
  using T = bryo::network::IpamPool;
  static constexpr auto list =
      std::tuple{field("Subnet", &T::subnet, omit_empty), field("IPRange", &T::ip_range, omit_empty),
                 field("Gateway", &T::gateway, omit_empty), field("AuxiliaryAddresses", &T::aux_addresses, omit_empty)};
};

template <>
struct bryo::json::Fields<bryo::network::IpamConfig> {
  using T = bryo::network::IpamConfig;
  static constexpr auto list =
      std::tuple{field("Driver", &T::driver), field("Options", &T::options), field("Config", &T::pools)};
};

template <>
struct bryo::json::Fields<bryo::network::NetworkConfig> {
  using T = bryo::network::NetworkConfig;
  static constexpr auto list = std::tuple{field("Name", &T::name),
                                          field("Id", &T::id),
                                          field("Created", &T::created),
                                          field("Scope", &T::scope),
                                          field("Driver", &T::driver),
                                          field("EnableIPv6", &T::enable_ipv6),
                                          field("IPAM", &T::ipam),
                                          field("Internal", &T::internal),
                                          field("Attachable", &T::attachable),
                                          field("Ingress", &T::ingress),
                                          field("Options", &T::options),
                                          field("Labels", &T::labels)};
};

template <>
struct bryo::json::Fields<bryo::network::NetworkCreate> {
  using T = bryo::network::NetworkCreate;
  static constexpr auto list = std::tuple{field("Name", &T::name),
                                          field("Driver", &T::driver),
                                          field("Scope", &T::scope),
                                          field("EnableIPv6", &T::enable_ipv6),
                                          field("IPAM", &T::ipam),
                                          field("Internal", &T::internal),
                                          field("Attachable", &T::attachable),
                                          field("Ingress", &T::ingress),
                                          field("Options", &T::options),
                                          field("Labels", &T::labels)};
};

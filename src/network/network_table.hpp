// All networks and endpoints of the engine, and who has which address: the bookkeeping behind NetworkManager. No
// kernel, no disk, no lock: the manager guards it with its own.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sockets_address.hpp"
#include "network/config.hpp"
#include "network/endpoint.hpp"
#include "network/ipam.hpp"
#include "network/options.hpp"

namespace bryo::network {

struct NetworkState {
  NetworkConfig config;
  std::string bridge;  // interface on the host; empty for host and none
  int bridge_index = 0;
  int mtu = 0;
  bool icc = true;
  bool masquerade = true;
  std::optional<SubnetAddresses> v4;
  std::optional<SubnetAddresses> v6;
  kernel::IpAddress gateway4;
  kernel::IpAddress gateway6;
  kernel::IpAddress container_gateway4;  // what containers use: gateway4, or --default-gateway
  std::set<std::string> endpoints;
  bool ready = false;  // its bridge exists

  // Gateways with the subnet's prefix length: the bridge's own addresses.
  std::vector<kernel::IpPrefix> bridge_addresses() const;
};

struct EndpointState {
  Endpoint endpoint;
  bool attached = false;
};

class NetworkTable {
 public:
  explicit NetworkTable(const NetworkOptions& options);

  // Checks a request and turns it into a configuration with id, subnets and gateways; `routes` are subnets that the
  // host reaches by itself, which a chosen subnet must not overlap. The table is not changed.
  NetworkConfig plan(const NetworkCreate& request, const std::vector<kernel::IpPrefix>& routes) const;
  // The default bridge's configuration from the options; what they leave open stays as in `stored`.
  NetworkConfig plan_default_bridge(const NetworkConfig* stored, const std::vector<kernel::IpPrefix>& routes) const;
  // Takes a configuration in. Throws when its subnets overlap with another network's or it contradicts itself.
  NetworkState& add(const NetworkConfig& config);
  void erase(const std::string& network_id);

  // Name, id, or unique prefix of an id. nullptr when unknown; throws invalid_argument when ambiguous.
  NetworkState* lookup(std::string_view reference);
  // Throws not_found: "network x not found".
  NetworkState& find(std::string_view reference);
  // As find, for networks that are complete: not one that is being made or removed.
  NetworkState& find_ready(std::string_view reference);
  std::map<std::string, NetworkState>& all() { return networks_; }

  // Takes addresses. Throws in Docker's words.
  Endpoint reserve(NetworkState& network, const EndpointRequest& request);
  // An endpoint of an earlier life. Addresses that are taken twice are logged, not refused.
  void adopt(const Endpoint& endpoint);
  // false: unknown.
  bool release(const std::string& endpoint_id);
  EndpointState* endpoint(const std::string& endpoint_id);
  std::vector<EndpointState*> endpoints_of(std::string_view container_id);
  const EndpointState* endpoint_in(const std::string& network_id, std::string_view container) const;
  bool idle() const { return endpoints_.empty(); }

 private:
  std::vector<kernel::IpPrefix> subnets() const;
  void choose_pools(NetworkConfig& config, const std::vector<kernel::IpPrefix>& routes) const;
  void check_bridge_name(const NetworkConfig& config) const;

  NetworkOptions options_;
  SubnetChooser chooser_;
  std::map<std::string, NetworkState> networks_;    // by id
  std::map<std::string, EndpointState> endpoints_;  // by id
  std::map<std::string, std::set<std::string>, std::less<>> by_container_;
};

// Container name, aliases, short id, host name: lower case is for the DNS server, repetition for nobody.
std::vector<std::string> dns_names_of(const EndpointRequest& request);

}  // namespace bryo::network

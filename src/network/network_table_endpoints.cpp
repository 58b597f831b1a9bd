#include <algorithm>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "network/network_table.hpp"

namespace bryo::network {

using kernel::IpAddress;
using kernel::IpPrefix;

namespace {

constexpr std::size_t kIdInInterfaceName = 10;  // "veth" and ten digits: fifteen bytes are the most

void check_request(const NetworkState& network, const EndpointRequest& request) {
  const NetworkConfig& config = network.config;
  if (!config.predefined()) return;
  if (!request.ipv4.empty() || !request.ipv6.empty())
    fail(ErrorKind::invalid_argument, "user specified IP address is supported on user defined networks only");
  if (!request.aliases.empty())
    fail(ErrorKind::invalid_argument, "network-scoped alias is supported only for containers in user defined networks");
}

IpAddress take_address(const NetworkState& network, SubnetAddresses& addresses, const std::string& asked) {
  if (asked.empty()) {
    if (const auto taken = addresses.take()) return *taken;
    fail(ErrorKind::exhausted, "no available IPv{} addresses on this network's address pools: {} ({})",
         addresses.subnet().address().is_v6() ? 6 : 4, network.config.name, network.config.id);
  }
  const IpAddress address = IpAddress::parse(asked);
  if (!addresses.subnet().contains(address))
    fail(ErrorKind::invalid_argument, "Invalid address {}: It does not belong to any of this network's subnets",
         address.str());
  if (!addresses.take(address)) fail(ErrorKind::conflict, "Address already in use: {}", address.str());
  return address;
}

kernel::MacAddress mac_for(const EndpointRequest& request, const IpAddress& v4, const IpAddress& v6) {
  if (request.mac.empty()) return mac_of(v4.empty() ? v6 : v4);
  if (const auto mac = kernel::try_parse_mac(request.mac)) return *mac;
  fail(ErrorKind::invalid_argument, "invalid MAC address: {}", printable(request.mac, 40));
}

}  // namespace

Endpoint NetworkTable::reserve(NetworkState& network, const EndpointRequest& request) {
  check_request(network, request);
  if (endpoint_in(network.config.id, request.container_id) != nullptr)
    fail(ErrorKind::permission, "endpoint with name {} already exists in network {}", request.container_name,
         network.config.name);
  Endpoint endpoint;
  endpoint.endpoint_id = random_hex_id();
  endpoint.network_id = network.config.id;
  endpoint.network_name = network.config.name;
  endpoint.container_id = request.container_id;
  endpoint.container_name = request.container_name;
  endpoint.aliases = request.aliases;
  endpoint.links = request.links;
  if (network.config.has_dns()) endpoint.dns_names = dns_names_of(request);
  endpoint.settings = request.settings;
  if (network.config.is_bridge()) {
    IpAddress v4;
    IpAddress v6;
    try {
      if (network.v4) v4 = take_address(network, *network.v4, request.ipv4);
      if (network.v6) v6 = take_address(network, *network.v6, request.ipv6);
      if (!network.v6 && !request.ipv6.empty())
        fail(ErrorKind::invalid_argument, "Invalid address {}: It does not belong to any of this network's subnets",
             printable(request.ipv6, 64));
      endpoint.mac = kernel::to_string(mac_for(request, v4, v6));
    } catch (...) {
      if (!v4.empty()) network.v4->give_back(v4);
      if (!v6.empty()) network.v6->give_back(v6);
      throw;
    }
    endpoint.host_interface = "veth" + endpoint.endpoint_id.substr(0, kIdInInterfaceName);
    endpoint.ip_address = v4.str();
    endpoint.ip_prefix_length = network.v4 ? network.v4->subnet().length() : 0;
    endpoint.gateway = network.config.internal ? std::string() : network.container_gateway4.str();
    endpoint.ipv6_address = v6.str();
    endpoint.ipv6_prefix_length = network.v6 ? network.v6->subnet().length() : 0;
    endpoint.ipv6_gateway = network.config.internal ? std::string() : network.gateway6.str();
  }
  network.endpoints.insert(endpoint.endpoint_id);
  endpoints_[endpoint.endpoint_id] = {endpoint, false};
  by_container_[endpoint.container_id].insert(endpoint.endpoint_id);
  return endpoint;
}

void NetworkTable::adopt(const Endpoint& endpoint) {
  const auto found = networks_.find(endpoint.network_id);
  if (found == networks_.end()) {
    log::warning("container {} is in network {}, which is gone", endpoint.container_name, endpoint.network_name);
    return;
  }
  NetworkState& network = found->second;
  const auto take = [&](std::optional<SubnetAddresses>& addresses, const std::string& text) {
    const auto address = IpAddress::try_parse(text);
    if (!address) return;
    if (!addresses || !addresses->subnet().contains(*address) || !addresses->take(*address))
      log::warning("container {} has address {}, which is not free in network {}", endpoint.container_name, text,
                   endpoint.network_name);
  };
  take(network.v4, endpoint.ip_address);
  take(network.v6, endpoint.ipv6_address);
  network.endpoints.insert(endpoint.endpoint_id);
  endpoints_[endpoint.endpoint_id] = {endpoint, true};
  by_container_[endpoint.container_id].insert(endpoint.endpoint_id);
}

bool NetworkTable::release(const std::string& endpoint_id) {
  const auto found = endpoints_.find(endpoint_id);
  if (found == endpoints_.end()) return false;
  const Endpoint& endpoint = found->second.endpoint;
  if (const auto owner = networks_.find(endpoint.network_id); owner != networks_.end()) {
    NetworkState& network = owner->second;
    const auto v4 = IpAddress::try_parse(endpoint.ip_address);
    const auto v6 = IpAddress::try_parse(endpoint.ipv6_address);
    if (v4 && network.v4) network.v4->give_back(*v4);
    if (v6 && network.v6) network.v6->give_back(*v6);
    network.endpoints.erase(endpoint_id);
  }
  if (const auto owner = by_container_.find(endpoint.container_id); owner != by_container_.end()) {
    owner->second.erase(endpoint_id);
    if (owner->second.empty()) by_container_.erase(owner);
  }
  endpoints_.erase(found);
  return true;
}

EndpointState* NetworkTable::endpoint(const std::string& endpoint_id) {
  const auto found = endpoints_.find(endpoint_id);
  return found == endpoints_.end() ? nullptr : &found->second;
}

std::vector<EndpointState*> NetworkTable::endpoints_of(std::string_view container_id) {
  std::vector<EndpointState*> out;
  const auto owner = by_container_.find(container_id);
  if (owner == by_container_.end()) return out;
  for (const std::string& id : owner->second) out.push_back(&endpoints_.at(id));
  return out;
}

const EndpointState* NetworkTable::endpoint_in(const std::string& network_id, std::string_view container) const {
  if (const auto owner = by_container_.find(container); owner != by_container_.end()) {
    for (const std::string& id : owner->second) {
      const EndpointState& state = endpoints_.at(id);
      if (state.endpoint.network_id == network_id) return &state;
    }
    return nullptr;
  }
  const auto network = networks_.find(network_id);
  if (network == networks_.end()) return nullptr;
  for (const std::string& id : network->second.endpoints) {
    const EndpointState& state = endpoints_.at(id);
    if (state.endpoint.container_name == container) return &state;
  }
  return nullptr;
}

}  // namespace bryo::network

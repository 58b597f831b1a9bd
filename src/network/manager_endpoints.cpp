#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "network/manager_impl.hpp"
#include "network/resolv_conf.hpp"

namespace bryo::network {

using kernel::IpAddress;
using kernel::IpPrefix;

namespace {

std::vector<IpAddress> gateways_of(const Endpoint& endpoint) {
  std::vector<IpAddress> out;
  for (const std::string& text : {endpoint.gateway, endpoint.ipv6_gateway}) {
    if (const auto address = IpAddress::try_parse(text)) out.push_back(*address);
  }
  return out;
}

std::vector<IpPrefix> addresses_of(const Endpoint& endpoint) {
  std::vector<IpPrefix> out;
  if (const auto v4 = IpAddress::try_parse(endpoint.ip_address)) out.emplace_back(*v4, endpoint.ip_prefix_length);
  if (const auto v6 = IpAddress::try_parse(endpoint.ipv6_address)) out.emplace_back(*v6, endpoint.ipv6_prefix_length);
  return out;
}

std::string with_length(const std::string& address, int length) {
  return address.empty() ? std::string() : fmt::format("{}/{}", address, length);
}

}  // namespace

// The default bridge has no names, but it may be a container's way out.
void NetworkManager::Impl::announce(const Endpoint& endpoint) {
  const NetworkState* network = table.lookup(endpoint.network_id);
  if (network == nullptr || !network->config.is_bridge()) return;
  Endpoint known = endpoint;
  if (!network->config.has_dns()) known.dns_names.clear();
  names.add(known, !network->config.internal);
}

void NetworkManager::Impl::retire(const Endpoint& endpoint) {
  for (const std::string& address : {endpoint.ip_address, endpoint.ipv6_address})
    if (!address.empty()) retired[{endpoint.network_id, address}] = endpoint.host_interface;
}

std::vector<std::string> NetworkManager::Impl::retired_ports(const Endpoint& endpoint) {
  std::vector<std::string> out;
  for (const std::string& address : {endpoint.ip_address, endpoint.ipv6_address}) {
    const auto found = retired.find({endpoint.network_id, address});
    if (found == retired.end()) continue;
    if (std::find(out.begin(), out.end(), found->second) == out.end()) out.push_back(found->second);
    retired.erase(found);
  }
  return out;
}

std::vector<EndpointSummary> NetworkManager::endpoints(std::string_view network_id) const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<EndpointSummary> out;
  for (const std::string& id : impl_->table.find(network_id).endpoints) {
    const Endpoint& endpoint = impl_->table.endpoint(id)->endpoint;
    out.push_back({endpoint.container_id, endpoint.container_name, endpoint.endpoint_id, endpoint.mac,
                   with_length(endpoint.ip_address, endpoint.ip_prefix_length),
                   with_length(endpoint.ipv6_address, endpoint.ipv6_prefix_length)});
  }
  return out;
}

Endpoint NetworkManager::reserve(std::string_view network, const EndpointRequest& request) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->table.reserve(impl_->table.find_ready(network), request);
}

void NetworkManager::attach(Endpoint& endpoint, int netns_fd, unsigned index, bool default_gateway) {
  AttachPlan plan;
  {
    const std::lock_guard lock(impl_->mutex);
    const NetworkState& network = impl_->table.find(endpoint.network_id);
    if (network.config.driver == "host") return;
    plan.bridge = network.bridge_index;
    plan.bridge_name = network.bridge;
    plan.isolated = !network.icc;
    plan.mtu = network.mtu;
    plan.retired_ports = impl_->retired_ports(endpoint);
    if (network.config.is_bridge() && plan.bridge == 0)
      fail(ErrorKind::unavailable, "network {} has no bridge: see the log of the last start", network.config.name);
  }
  if (plan.bridge == 0) return BridgeDriver::loopback_up(netns_fd);
  const std::string interface = fmt::format("eth{}", index);
  plan.host_interface = endpoint.host_interface;
  plan.interface = interface;
  plan.mac = kernel::try_parse_mac(endpoint.mac).value_or(kernel::MacAddress{});
  plan.addresses = addresses_of(endpoint);
  plan.settings = endpoint.settings;
  if (default_gateway) plan.gateways = gateways_of(endpoint);
  impl_->bridges.attach(plan, netns_fd);
  endpoint.interface_name = interface;
  const std::lock_guard lock(impl_->mutex);
  if (EndpointState* state = impl_->table.endpoint(endpoint.endpoint_id)) {
    state->attached = true;
    state->endpoint.interface_name = interface;
    impl_->announce(state->endpoint);
  }
}

void NetworkManager::detach(const Endpoint& endpoint, int netns_fd) {
  impl_->names.remove(endpoint.endpoint_id);
  if (!endpoint.host_interface.empty() && !endpoint.interface_name.empty())
    impl_->bridges.detach(endpoint.interface_name, netns_fd);
  const std::lock_guard lock(impl_->mutex);
  if (EndpointState* state = impl_->table.endpoint(endpoint.endpoint_id)) state->attached = false;
}

void NetworkManager::move_device(const std::string& host_name, const std::string& name, int netns_fd) {
  impl_->bridges.move_device(host_name, name, netns_fd);
}

void NetworkManager::set_default_gateway(const Endpoint& endpoint, int netns_fd) {
  if (!endpoint.interface_name.empty())
    impl_->bridges.set_default_routes(endpoint.interface_name, gateways_of(endpoint), netns_fd);
}

void NetworkManager::release(const Endpoint& endpoint) {
  impl_->names.remove(endpoint.endpoint_id);
  bool last = false;
  {
    const std::lock_guard lock(impl_->mutex);
    const EndpointState* state = impl_->table.endpoint(endpoint.endpoint_id);
    if (state != nullptr && state->attached && !endpoint.host_interface.empty()) impl_->retire(state->endpoint);
    if (!impl_->table.release(endpoint.endpoint_id)) return;
    last = impl_->table.endpoints_of(endpoint.container_id).empty();
  }
  if (last) impl_->dns.stop(endpoint.container_id);
}

std::vector<Endpoint> NetworkManager::rename(std::string_view container_id, std::string_view new_name) {
  const std::lock_guard lock(impl_->mutex);
  std::vector<Endpoint> out;
  for (EndpointState* state : impl_->table.endpoints_of(container_id)) {
    Endpoint& endpoint = state->endpoint;
    std::erase(endpoint.dns_names, endpoint.container_name);
    std::erase(endpoint.dns_names, std::string(new_name));
    endpoint.dns_names.insert(endpoint.dns_names.begin(), std::string(new_name));
    endpoint.container_name = new_name;
    if (state->attached) impl_->announce(endpoint);
    out.push_back(endpoint);
  }
  return out;
}

bool NetworkManager::needs_dns(const std::vector<Endpoint>& endpoints) const {
  const std::lock_guard lock(impl_->mutex);
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const Endpoint& endpoint) {
    const NetworkState* network = impl_->table.lookup(endpoint.network_id);
    return network != nullptr && network->config.has_dns();
  });
}

void NetworkManager::serve_dns(std::string_view container_id, int netns_fd, const DnsSettings& settings) {
  impl_->dns.serve(std::string(container_id), netns_fd, settings.servers);
}

void NetworkManager::release_container(std::string_view container_id) {
  unpublish(container_id);
  std::vector<Endpoint> endpoints;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const EndpointState* state : impl_->table.endpoints_of(container_id)) endpoints.push_back(state->endpoint);
  }
  for (const Endpoint& endpoint : endpoints) release(endpoint);
}

std::size_t NetworkManager::gateway_endpoint(const std::vector<Endpoint>& endpoints) const {
  std::size_t best = npos;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (endpoints[i].gateway.empty() && endpoints[i].ipv6_gateway.empty()) continue;
    if (best == npos || endpoints[i].network_name < endpoints[best].network_name) best = i;
  }
  return best;
}

std::string NetworkManager::host_gateway() const {
  if (!impl_->options.host_address.empty()) return impl_->options.host_address;
  const std::lock_guard lock(impl_->mutex);
  const NetworkState* bridge = impl_->table.lookup("bridge");
  return bridge == nullptr ? std::string() : bridge->gateway4.str();
}

std::string NetworkManager::resolv_conf(const DnsSettings& settings, bool with_dns) const {
  const ResolvConf host = impl_->resolvers.current();
  const ResolvConf asked{settings.servers, settings.search, settings.options};
  return resolv_conf_file(with_dns ? embedded_resolv_conf(host, asked)
                                   : container_resolv_conf(host, asked, impl_->options.ipv6));
}

std::string NetworkManager::host_resolv_conf(const DnsSettings& settings) const {
  ResolvConf conf = impl_->resolvers.own();
  if (!settings.servers.empty()) conf.servers = settings.servers;
  if (!settings.search.empty()) conf.search = settings.search;
  if (!settings.options.empty()) conf.options = settings.options;
  std::erase(conf.search, ".");
  return resolv_conf_file(conf);
}

std::string NetworkManager::address_of(std::string_view network_id, std::string_view container) const {
  const std::lock_guard lock(impl_->mutex);
  const EndpointState* state = impl_->table.endpoint_in(std::string(network_id), container);
  return state == nullptr ? std::string() : state->endpoint.ip_address;
}

}  // namespace bryo::network

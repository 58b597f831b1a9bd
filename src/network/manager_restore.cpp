// The two ends of an engine's life: coming back to a kernel that has gone on, and leaving it.
#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "network/manager_impl.hpp"
#include "network/transparent_routes.hpp"

namespace bryo::network {

using kernel::IpAddress;

namespace {

std::optional<Translation> translation_of(const PublishedPort& port, bool proxied) {
  const auto host = IpAddress::try_parse(port.host_ip);
  const auto target = IpAddress::try_parse(port.target_ip);
  if (!port.translated || !host || !target || host->family() != target->family()) return std::nullopt;
  return Translation{parse_protocol(port.protocol), *host, port.host_port, *target, port.container_port, proxied};
}

std::vector<PublishedPort> ports_of(const std::vector<RunningContainer>& running) {
  std::vector<PublishedPort> out;
  for (const RunningContainer& container : running)
    out.insert(out.end(), container.ports.begin(), container.ports.end());
  return out;
}

}  // namespace

void NetworkManager::Impl::restore_endpoints(const std::vector<RunningContainer>& running) {
  const std::lock_guard lock(mutex);
  for (const RunningContainer& container : running) {
    for (const Endpoint& endpoint : container.endpoints) {
      table.adopt(endpoint);
      if (table.endpoint(endpoint.endpoint_id) != nullptr) announce(endpoint);
    }
    Published& record = published[container.container_id];
    for (const PublishedPort& port : container.ports) {
      const auto host = IpAddress::try_parse(port.host_ip);
      if (!host) continue;
      const Protocol protocol = parse_protocol(port.protocol);
      ports.adopt(container.container_id, protocol, *host, port.host_port);
      if (const auto translation = translation_of(port, options.userland_proxy))
        record.translations.push_back(*translation);
    }
    record.ports = container.ports;
    if (container.ports.empty()) published.erase(container.container_id);
  }
}

void NetworkManager::Impl::restore_bridges(const std::vector<RunningContainer>& running) {
  std::vector<BridgePlan> plans;
  std::vector<std::string> ids;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [id, network] : table.all()) {
      if (!network.config.is_bridge()) continue;
      plans.push_back(plan_of(network));
      ids.push_back(id);
    }
  }
  std::vector<std::string> port_names;
  for (const RunningContainer& container : running) {
    for (const Endpoint& endpoint : container.endpoints) port_names.push_back(endpoint.host_interface);
  }
  for (const BridgePlan& plan : plans) {
    try {
      const int index = bridges.ensure(plan);
      const std::lock_guard lock(mutex);
      table.find(plan.network_id).bridge_index = index;
    } catch (const Error& error) {
      warn(fmt::format("network {} does not work: {}", plan.network_id.substr(0, 12), error.message()));
    }
  }
  bridges.remove_leftovers(ids, port_names);
  for (const RunningContainer& container : running) {
    for (const Endpoint& endpoint : container.endpoints) {
      if (endpoint.host_interface.empty()) continue;
      std::string bridge;
      {
        const std::lock_guard lock(mutex);
        const NetworkState* network = table.lookup(endpoint.network_id);
        if (network != nullptr && network->bridge_index != 0) bridge = network->bridge;
      }
      if (!bridge.empty()) bridges.adopt_port(endpoint.host_interface, bridge);
    }
  }
}

void NetworkManager::Impl::restore_dns(const std::vector<RunningContainer>& running) {
  for (const RunningContainer& container : running) {
    const bool wanted =
        std::any_of(container.endpoints.begin(), container.endpoints.end(), [&](const Endpoint& endpoint) {
          const std::lock_guard lock(mutex);
          const NetworkState* network = table.lookup(endpoint.network_id);
          return network != nullptr && network->config.has_dns();
        });
    if (!wanted || !container.netns) continue;
    try {
      dns.serve(container.container_id, container.netns.get(), container.dns.servers);
    } catch (const Error& error) {
      warn(fmt::format("container {} has no DNS: {}", container.container_id.substr(0, 12), error.message()));
    }
  }
}

void NetworkManager::restore(std::vector<RunningContainer> running) {
  const std::lock_guard topology(impl_->topology);
  impl_->restore_endpoints(running);
  std::vector<BridgeRules> rules;
  std::vector<Translation> translations;
  bool forward = false;
  bool ipv6 = false;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [id, network] : impl_->table.all()) {
      if (!network.config.is_bridge()) continue;
      rules.push_back(impl_->rules_of(network));
      forward |= !network.config.internal;
      ipv6 |= network.v6.has_value();
    }
    for (const auto& [container, record] : impl_->published)
      translations.insert(translations.end(), record.translations.begin(), record.translations.end());
  }
  if (forward && impl_->options.ip_forward) {
    for (std::string& remark : impl_->forwarding.need(ipv6)) impl_->warn(std::move(remark));
  }
  if (impl_->firewall && impl_->host_sockets.is_outside()) make_transparent_routes();
  // Rules before links: a bridge that is made now is guarded from its first moment.
  if (impl_->firewall) impl_->firewall->replace(std::move(rules), std::move(translations), impl_->forwarding.ours());
  impl_->restore_bridges(running);
  impl_->restore_dns(running);
  if (impl_->options.outer_ports) impl_->options.outer_ports->settle(ports_of(running));
  if (!impl_->firewall) return;
  for (const std::string& chain : impl_->firewall->foreign_drop_policies())
    impl_->warn(
        fmt::format("chain {} drops forwarded packets by policy: containers reach other hosts, and published ports "
                    "work, only if it accepts what comes from and goes to their bridges",
                    chain));
}

void NetworkManager::shutdown() {
  const std::lock_guard topology(impl_->topology);
  std::vector<std::string> bridges;
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->table.idle()) return;
    for (auto& [id, network] : impl_->table.all()) {
      if (!network.bridge.empty()) bridges.push_back(network.bridge);
      network.ready = false;
    }
  }
  for (const std::string& bridge : bridges) impl_->bridges.remove(bridge);
  if (impl_->firewall) impl_->firewall->clear();
  if (impl_->host_sockets.is_outside()) remove_transparent_routes();
  impl_->forwarding.restore();
}

}  // namespace bryo::network

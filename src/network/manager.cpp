#include "network/manager.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "kernel/files.hpp"
#include "network/manager_impl.hpp"

namespace bryo::network {
namespace {

PortTable port_table(const NetworkOptions& options, const HostSockets& sockets) {
  if (options.ephemeral_first != 0) return PortTable(options.ephemeral_first, options.ephemeral_last, sockets);
  const auto [first, last] = sockets.ephemeral_range();
  return PortTable(first, last, sockets);
}

NetworkOptions with_site(NetworkOptions options) {
  if (!options.site.empty()) return options;
  try {
    const UniqueFd fd = kernel::open_trusted("/etc/machine-id", O_RDONLY);
    std::array<char, 64> text{};
    const ssize_t size = ::read(fd.get(), text.data(), text.size());
    options.site.assign(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  } catch (const Error&) {  // a host without one: the prefix is still private, only not unique
  }
  return options;
}

NetworkConfig simple_network(std::string name, std::string driver) {
  NetworkConfig config;
  config.id = random_hex_id();
  config.name = std::move(name);
  config.driver = std::move(driver);
  config.created = to_rfc3339_nano(wall_now());
  return config;
}

}  // namespace

NetworkManager::Impl::Impl(NetworkOptions from, Persistence& persistence)
    : options(with_site(std::move(from))),
      store(persistence),
      table(options),
      forwarding(persistence),
      host_sockets(options),
      ports(port_table(options, host_sockets)),
      resolvers(options.resolv_conf, "/run/systemd/resolve/resolv.conf", options.dns_relay),
      dns(names, resolvers),
      bridges(options.tag) {
  if (options.firewall)
    firewall = std::make_unique<Firewall>(options.tag, FirewallOptions{.transparent = host_sockets.is_outside()});
  load();
}

void NetworkManager::Impl::load() {
  forwarding.load();
  for (const auto& [key, document] : store.list()) {
    if (key == Forwarding::kStoreKey) continue;
    try {
      table.add(json::decode<NetworkConfig>(document)).ready = true;
    } catch (const Error& error) {
      log::error("network {} cannot be read back and is left out: {}", printable(key, 80), error.message());
    }
  }
  for (const auto& [name, driver] : {std::pair{"host", "host"}, std::pair{"none", "null"}}) {
    if (table.lookup(name) != nullptr) continue;
    const NetworkConfig config = simple_network(name, driver);
    store.put(config.id, json::encode(config));
    table.add(config).ready = true;
  }
  plan_default_bridge();
  plan_bypass();
}

// It has a bridge, so whoever wants no bridge does not get this network of itself either.
void NetworkManager::Impl::plan_bypass() {
  const bool wanted = options.bypass && options.bridge != "none";
  const NetworkState* stored = table.lookup(kBypass);
  const bool ours = stored != nullptr && stored->config.driver == kBypass;
  if (wanted && stored == nullptr) {
    NetworkCreate request;
    request.name = kBypass;
    request.driver = kBypass;
    const NetworkConfig config = table.plan(request, bridges.host_routes());
    store.put(config.id, json::encode(config));
    table.add(config).ready = true;
  } else if (!wanted && ours) {
    table.erase(std::string(stored->config.id));
  }
}

void NetworkManager::Impl::plan_default_bridge() {
  const NetworkState* stored = table.lookup("bridge");
  if (options.bridge == "none") {
    if (stored != nullptr) table.erase(std::string(stored->config.id));
    return;
  }
  NetworkOptions effective = options;
  if (const auto address = bridges.foreign_address(options.bridge); address && effective.bip.empty())
    effective.bip = address->str();
  const NetworkConfig* old = stored != nullptr ? &stored->config : nullptr;
  const NetworkConfig config = NetworkTable(effective).plan_default_bridge(old, bridges.host_routes());
  store.put(config.id, json::encode(config));
  table.add(config).ready = true;
}

BridgeRules NetworkManager::Impl::rules_of(const NetworkState& network) const {
  return {network.bridge, network.config.internal, network.icc, network.masquerade};
}

BridgePlan NetworkManager::Impl::plan_of(const NetworkState& network) const {
  return {network.config.id, network.bridge, network.mtu, network.bridge_addresses(), network.v6.has_value()};
}

void NetworkManager::Impl::warn(std::string text) {
  log::warning("{}", text);
  const std::lock_guard lock(mutex);
  if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(std::move(text));
}

void NetworkManager::Impl::set_up(const std::string& network_id) {
  BridgeRules rules;
  BridgePlan plan;
  {
    const std::lock_guard lock(mutex);
    const NetworkState& network = table.find(network_id);
    rules = rules_of(network);
    plan = plan_of(network);
  }
  if (!rules.internal && options.ip_forward) {
    for (std::string& remark : forwarding.need(plan.ipv6)) warn(std::move(remark));
  }
  if (firewall) firewall->add_bridge(rules);
  try {
    const int index = bridges.ensure(plan);
    const std::lock_guard lock(mutex);
    table.find(network_id).bridge_index = index;
  } catch (...) {
    if (firewall) firewall->remove_bridge(rules.interface);
    throw;
  }
}

// The rules go last: as long as the link is there, it is guarded.
void NetworkManager::Impl::take_down(const std::string& bridge) {
  bridges.remove(bridge);
  if (firewall) firewall->remove_bridge(bridge);
}

NetworkManager::NetworkManager(NetworkOptions options, Persistence& persistence)
    : impl_(std::make_unique<Impl>(std::move(options), persistence)) {}

NetworkManager::~NetworkManager() = default;

CreatedNetwork NetworkManager::create(const NetworkCreate& request) {
  const std::lock_guard topology(impl_->topology);
  const auto routes = impl_->bridges.host_routes();
  CreatedNetwork created;
  {
    const std::lock_guard lock(impl_->mutex);
    created.config = impl_->table.plan(request, routes);
    impl_->table.add(created.config);
  }
  const std::string& id = created.config.id;
  for (const IpamPool& asked : request.ipam.pools) {
    const auto subnet = kernel::IpPrefix::try_parse(asked.subnet);
    const bool clash = subnet && std::any_of(routes.begin(), routes.end(),
                                             [&](const kernel::IpPrefix& route) { return route.overlaps(*subnet); });
    if (clash) created.warning = fmt::format("subnet {} overlaps with a route of this host", asked.subnet);
  }
  bool up = false;
  try {
    impl_->set_up(id);
    up = true;
    impl_->store.put(id, json::encode(created.config));
  } catch (...) {
    if (up) impl_->take_down(impl_->table.find(id).bridge);
    const std::lock_guard lock(impl_->mutex);
    impl_->table.erase(id);
    throw;
  }
  const std::lock_guard lock(impl_->mutex);
  impl_->table.find(id).ready = true;
  return created;
}

void NetworkManager::remove(std::string_view reference) {
  const std::lock_guard topology(impl_->topology);
  std::string id;
  std::string bridge;
  {
    const std::lock_guard lock(impl_->mutex);
    NetworkState& network = impl_->table.find(reference);
    if (network.config.predefined())
      fail(ErrorKind::permission, "{} is a pre-defined network and cannot be removed", network.config.name);
    id = network.config.id;
    if (!network.endpoints.empty())
      fail(ErrorKind::permission, "error while removing network: network {} id {} has active endpoints",
           network.config.name, id);
    bridge = network.bridge;
    network.ready = false;  // no new endpoints from here on
  }
  try {
    impl_->store.erase(id);
  } catch (...) {
    const std::lock_guard lock(impl_->mutex);
    impl_->table.find(id).ready = true;
    throw;
  }
  try {
    impl_->take_down(bridge);
  } catch (const Error& error) {
    log::warning("network {} is removed, but its bridge {} stays until the next start: {}", id, bridge,
                 error.message());
  }
  const std::lock_guard lock(impl_->mutex);
  impl_->table.erase(id);
  std::erase_if(impl_->retired, [&](const auto& entry) { return entry.first.first == id; });
}

std::vector<NetworkConfig> NetworkManager::list() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<NetworkConfig> out;
  for (const auto& [id, network] : impl_->table.all()) {
    if (network.ready) out.push_back(network.config);
  }
  return out;
}

NetworkConfig NetworkManager::find(std::string_view reference) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->table.find_ready(reference).config;
}

bool NetworkManager::exists(std::string_view reference) const {
  const std::lock_guard lock(impl_->mutex);
  const NetworkState* network = impl_->table.lookup(reference);
  return network != nullptr && network->ready;
}

std::vector<std::string> NetworkManager::warnings() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->warnings;
}

}  // namespace bryo::network

#include <netinet/in.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/netlink_conntrack.hpp"
#include "kernel/sockets.hpp"
#include "network/manager_impl.hpp"

namespace bryo::network {

using kernel::Family;
using kernel::IpAddress;

namespace {

// The container's address that answers for a host address: of the same family if it has one.
IpAddress target_for(const Endpoint& endpoint, const IpAddress& host) {
  const auto v4 = IpAddress::try_parse(endpoint.ip_address).value_or(IpAddress());
  const auto v6 = IpAddress::try_parse(endpoint.ipv6_address).value_or(IpAddress());
  if (host.is_v6()) return v6.empty() ? v4 : v6;
  return v4.empty() ? v6 : v4;
}

bool has_udp(const std::vector<Translation>& translations) {
  return std::any_of(translations.begin(), translations.end(),
                     [](const Translation& t) { return t.protocol == Protocol::udp; });
}

}  // namespace

std::vector<IpAddress> NetworkManager::Impl::publish_hosts(const PortPublish& request) const {
  const std::string& text = request.host_ip.empty() ? options.default_publish_ip : request.host_ip;
  if (!text.empty()) return {IpAddress::parse(text)};
  std::vector<IpAddress> hosts{IpAddress::any(Family::v4)};
  if (host_sockets.has_ipv6()) hosts.push_back(IpAddress::any(Family::v6));
  return hosts;
}

// Connection tracking keeps a UDP flow's way for as long as packets come: a flow that began before its port led here,
// or that leads to a container that is gone, would never change.
void NetworkManager::Impl::forget_flows(const std::vector<Translation>& translations, Flows which) {
  const auto stale = [&](const kernel::Flow& flow) {
    if (flow.protocol != IPPROTO_UDP) return false;
    return std::any_of(translations.begin(), translations.end(), [&](const Translation& t) {
      return t.protocol == Protocol::udp && flow.destination_port == t.host_port &&
             flow.destination.family() == t.host.family() && (t.host.is_any() || t.host == flow.destination) &&
             (flow.reply_source == t.target) == (which == Flows::to_target);
    });
  };
  try {
    kernel::NetlinkSocket socket(NETLINK_NETFILTER);
    const std::size_t count = kernel::delete_flows(socket, stale);
    if (count > 0) log::debug("forgot {} UDP flows of published ports", count);
  } catch (const Error& error) {
    log::warning("UDP flows of published ports may stick to their old way: {}", error.message());
  }
}

bool NetworkManager::Impl::add_inner_socket(const PublishedSocket& outer, PublishResult& result) const {
  const IpAddress host = IpAddress::parse(outer.host_ip);
  if (!options.userland_proxy || !host.is_any()) return false;
  try {
    UniqueFd fd = outer.protocol == Protocol::udp ? kernel::bind_udp(host, outer.host_port)
                                                  : kernel::listen_tcp(host, outer.host_port);
    result.sockets.push_back(
        {std::move(fd), outer.protocol, outer.host_ip, outer.host_port, outer.target_ip, outer.target_port, {}, false});
    return true;
  } catch (const Error& error) {
    // A connection of our own has this port as its local one; other hosts are served all the same.
    log::debug("containers reach port {} by the translation only: {}", outer.host_port, error.message());
    return false;
  }
}

void NetworkManager::Impl::publish_one(std::string_view owner, const Endpoint& endpoint, const PortPublish& request,
                                       PublishResult& result, std::vector<Translation>& translations) {
  const bool outside = host_sockets.is_outside();
  for (ClaimedPort& claimed : ports.claim(owner, request, publish_hosts(request))) {
    const IpAddress target = target_for(endpoint, claimed.host);
    const bool translated =
        firewall != nullptr && !claimed.host.is_loopback() && target.family() == claimed.host.family();
    result.ports.push_back({std::string(to_string(request.protocol)), request.container_port, claimed.host.str(),
                            claimed.port, target.str(), translated});
    PublishedSocket socket{std::move(claimed.socket.fd),
                           request.protocol,
                           claimed.host.str(),
                           claimed.port,
                           target.str(),
                           request.container_port,
                           {},
                           outside && firewall && firewall->transparent()};
    if (claimed.socket.both_families) socket.other_target_ip = target_for(endpoint, IpAddress::any(Family::v4)).str();
    const bool proxied = outside ? add_inner_socket(socket, result) : options.userland_proxy;
    if (socket.fd) result.sockets.push_back(std::move(socket));
    if (translated)
      translations.push_back({request.protocol, claimed.host, claimed.port, target, request.container_port, proxied});
  }
}

void NetworkManager::Impl::publish_outside_too(std::string_view owner, const Endpoint& endpoint,
                                               const PortPublish& request, PublishResult& result,
                                               std::vector<Translation>& translations) {
  constexpr int kAttempts = 32;
  const bool chosen_here = request.host_port == 0 || request.host_port_end > request.host_port;
  // Those that are taken out there stay claimed while others are tried.
  std::vector<PublishedPort> refused;
  std::optional<Error> failure;
  for (int attempt = 1;; ++attempt) {
    PublishResult tried;
    std::vector<Translation> tried_translations;
    try {
      publish_one(owner, endpoint, request, tried, tried_translations);
      if (options.outer_ports) options.outer_ports->add(tried.ports);
    } catch (const Error& error) {
      refused.insert(refused.end(), tried.ports.begin(), tried.ports.end());
      // Without any port in its hands this attempt has only found that there is no other: the reason was told before.
      if (!tried.ports.empty() || !failure) failure = error;
      const bool again = !tried.ports.empty() && chosen_here && error.kind() == ErrorKind::conflict;
      if (again && attempt < kAttempts) continue;
      release_ports(refused);
      throw Error(*failure);
    }
    release_ports(refused);
    std::move(tried.ports.begin(), tried.ports.end(), std::back_inserter(result.ports));
    std::move(tried.sockets.begin(), tried.sockets.end(), std::back_inserter(result.sockets));
    translations.insert(translations.end(), tried_translations.begin(), tried_translations.end());
    return;
  }
}

void NetworkManager::Impl::release_ports(const std::vector<PublishedPort>& given) {
  for (const PublishedPort& port : given)
    ports.release(parse_protocol(port.protocol), IpAddress::parse(port.host_ip), port.host_port);
}

PublishResult NetworkManager::publish(std::string_view container_id, const Endpoint& endpoint,
                                      const std::vector<PortPublish>& requests) {
  PublishResult result;
  {
    const std::lock_guard lock(impl_->mutex);
    const NetworkState& network = impl_->table.find(endpoint.network_id);
    if (!network.config.is_bridge() || network.config.internal || requests.empty()) return result;
  }
  std::vector<Translation> translations;
  try {
    for (const PortPublish& request : requests)
      impl_->publish_outside_too(container_id, endpoint, request, result, translations);
    if (impl_->firewall) impl_->firewall->add(translations);
  } catch (const Error& error) {
    if (impl_->options.outer_ports) impl_->options.outer_ports->remove(result.ports);
    impl_->release_ports(result.ports);
    if (error.kind() == ErrorKind::invalid_argument) throw;
    throw Error(ErrorKind::internal,
                fmt::format("driver failed programming external connectivity on endpoint {} ({}): {}",
                            endpoint.container_name, endpoint.endpoint_id, error.message()));
  }
  if (has_udp(translations)) {
    impl_->background.post(
        [impl = impl_.get(), translations] { impl->forget_flows(translations, Impl::Flows::elsewhere); });
  }
  const std::lock_guard lock(impl_->mutex);
  auto& record = impl_->published[std::string(container_id)].translations;
  record.insert(record.end(), translations.begin(), translations.end());
  auto& all = impl_->published[std::string(container_id)].ports;
  all.insert(all.end(), result.ports.begin(), result.ports.end());
  return result;
}

void NetworkManager::Impl::withdraw(const std::vector<Translation>& translations) {
  if (firewall) firewall->remove(translations);
  // At once: afterwards the address may be another container's, whose flows are not to be forgotten.
  if (has_udp(translations)) forget_flows(translations, Flows::to_target);
}

void NetworkManager::unpublish(std::string_view container_id, const std::vector<PublishedPort>& ports) {
  std::vector<Translation> withdrawn;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->published.find(container_id);
    if (found == impl_->published.end()) return;
    auto& all = found->second.translations;
    const auto kept = std::partition(all.begin(), all.end(), [&](const Translation& translation) {
      return std::none_of(ports.begin(), ports.end(), [&](const PublishedPort& port) {
        return port.host_port == translation.host_port && port.protocol == to_string(translation.protocol) &&
               port.host_ip == translation.host.str();
      });
    });
    withdrawn.assign(kept, all.end());
    all.erase(kept, all.end());
    std::erase_if(found->second.ports, [&](const PublishedPort& port) {
      return std::find(ports.begin(), ports.end(), port) != ports.end();
    });
  }
  if (impl_->options.outer_ports) impl_->options.outer_ports->remove(ports);
  impl_->withdraw(withdrawn);
  impl_->release_ports(ports);
}

void NetworkManager::unpublish(std::string_view container_id) {
  Impl::Published record;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->published.find(container_id);
    if (found == impl_->published.end()) return;
    record = std::move(found->second);
    impl_->published.erase(found);
  }
  if (impl_->options.outer_ports) impl_->options.outer_ports->remove(record.ports);
  impl_->withdraw(record.translations);
  impl_->ports.release(container_id);
}

}  // namespace bryo::network

#include <netinet/in.h>

#include <algorithm>

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
  if (kernel::has_ipv6()) hosts.push_back(IpAddress::any(Family::v6));
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

PublishResult NetworkManager::publish(std::string_view container_id, const Endpoint& endpoint,
                                      const std::vector<PortPublish>& requests) {
  PublishResult result;
  {
    const std::lock_guard lock(impl_->mutex);
    const NetworkState& network = impl_->table.find(endpoint.network_id);
    if (!network.config.is_bridge() || network.config.internal || requests.empty()) return result;
  }
  const std::string owner(container_id);
  Impl::Published record;
  try {
    for (const PortPublish& request : requests) {
      for (ClaimedPort& claimed : impl_->ports.claim(owner, request, impl_->publish_hosts(request))) {
        const IpAddress target = target_for(endpoint, claimed.host);
        const bool translated =
            impl_->firewall != nullptr && !claimed.host.is_loopback() && target.family() == claimed.host.family();
        if (translated)
          record.translations.push_back({request.protocol, claimed.host, claimed.port, target, request.container_port,
                                         impl_->options.userland_proxy});
        result.ports.push_back({std::string(to_string(request.protocol)), request.container_port, claimed.host.str(),
                                claimed.port, target.str(), translated});
        result.sockets.push_back({std::move(claimed.socket), request.protocol, claimed.host.str(), claimed.port,
                                  target.str(), request.container_port});
      }
    }
    if (impl_->firewall) impl_->firewall->add(record.translations);
  } catch (const Error& error) {
    impl_->ports.release(owner);
    if (error.kind() == ErrorKind::invalid_argument) throw;
    throw Error(ErrorKind::internal,
                fmt::format("driver failed programming external connectivity on endpoint {} ({}): {}",
                            endpoint.container_name, endpoint.endpoint_id, error.message()));
  }
  if (has_udp(record.translations)) {
    impl_->background.post([impl = impl_.get(), translations = record.translations] {
      impl->forget_flows(translations, Impl::Flows::elsewhere);
    });
  }
  const std::lock_guard lock(impl_->mutex);
  impl_->published[owner] = std::move(record);
  return result;
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
  if (impl_->firewall) impl_->firewall->remove(record.translations);
  // At once: afterwards the address may be another container's, whose flows are not to be forgotten.
  if (has_udp(record.translations)) impl_->forget_flows(record.translations, Impl::Flows::to_target);
  impl_->ports.release(container_id);
}

}  // namespace bryo::network

#include "network/port_table.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace bryo::network {

using kernel::IpAddress;

PortTable::PortTable(std::uint16_t first, std::uint16_t last, HostSockets sockets)
    : first_(first), last_(last), sockets_(std::move(sockets)), next_(first) {
  if (first == 0 || last < first)
    fail(ErrorKind::invalid_argument, "port range {}-{} for published ports is empty", first, last);
}

// "Every address" and one address exclude each other.
bool PortTable::taken(const Key& key) const {
  const auto from = owners_.lower_bound({key.protocol, key.port, IpAddress()});
  for (auto at = from; at != owners_.end() && at->first.protocol == key.protocol && at->first.port == key.port; ++at) {
    const IpAddress& other = at->first.host;
    if (other.family() == key.host.family() && (other == key.host || other.is_any() || key.host.is_any())) return true;
  }
  return false;
}

std::vector<ClaimedPort> PortTable::bind_all(Protocol protocol, const std::vector<IpAddress>& hosts,
                                             std::uint16_t port) {
  for (const IpAddress& host : hosts) {
    if (taken({protocol, port, host}))
      fail(ErrorKind::conflict, "Bind for {} failed: port is already allocated", host.with_port(port));
  }
  std::vector<ClaimedPort> out;
  auto sockets = sockets_.open(protocol, hosts, port);
  for (std::size_t i = 0; i < hosts.size(); ++i) out.push_back({hosts[i], port, std::move(sockets[i])});
  return out;
}

std::vector<ClaimedPort> PortTable::choose(const PortPublish& request, const std::vector<IpAddress>& hosts,
                                           std::uint16_t first, std::uint16_t last) {
  const unsigned count = last - first + 1U;
  const bool round = first == first_ && last == last_;
  const unsigned start = round ? next_ - first_ : 0U;
  for (unsigned i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(first + (start + i) % count);
    try {
      auto claimed = bind_all(request.protocol, hosts, port);
      if (round) next_ = port == last_ ? first_ : static_cast<std::uint16_t>(port + 1);
      return claimed;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::conflict) throw;
    }
  }
  fail(ErrorKind::conflict, "Bind for {}-{} failed: all ports are allocated", hosts.front().with_port(first), last);
}

std::vector<ClaimedPort> PortTable::claim(std::string_view owner, const PortPublish& request,
                                          const std::vector<IpAddress>& hosts) {
  const std::lock_guard lock(mutex_);
  std::vector<ClaimedPort> claimed;
  if (request.host_port == 0)
    claimed = choose(request, hosts, first_, last_);
  else if (request.host_port_end > request.host_port)
    claimed = choose(request, hosts, request.host_port, request.host_port_end);
  else
    claimed = bind_all(request.protocol, hosts, request.host_port);
  for (const ClaimedPort& port : claimed) owners_[{request.protocol, port.port, port.host}] = owner;
  return claimed;
}

void PortTable::adopt(std::string_view owner, Protocol protocol, const IpAddress& host, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  owners_[{protocol, port, host}] = owner;
}

void PortTable::release(Protocol protocol, const IpAddress& host, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  owners_.erase({protocol, port, host});
}

void PortTable::release(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  std::erase_if(owners_, [&](const auto& item) { return item.second == owner; });
}

}  // namespace bryo::network

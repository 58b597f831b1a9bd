#include "network/host_sockets.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/netns.hpp"
#include "kernel/sockets.hpp"

namespace bryo::network {

using kernel::Family;
using kernel::IpAddress;

namespace {

UniqueFd open_one(Protocol protocol, const IpAddress& host, std::uint16_t port) {
  try {
    return protocol == Protocol::udp ? kernel::bind_udp(host, port) : kernel::listen_tcp(host, port);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::permission) throw;
    const std::string first = kernel::get_net_sysctl("ipv4/ip_unprivileged_port_start");
    throw Error(ErrorKind::permission,
                fmt::format("{}: ports below {} are kept for the system. Allow this one with `sudo sysctl -w "
                            "net.ipv4.ip_unprivileged_port_start={}` (to keep it, put the setting into a file of "
                            "/etc/sysctl.d), or have systemd hand the socket over (FileDescriptorName=publish and "
                            "{}={} in a .socket unit of the engine), or choose a port from {} on",
                            error.message(), first, port, protocol == Protocol::udp ? "ListenDatagram" : "ListenStream",
                            port, first));
  }
}

}  // namespace

void HostSockets::run(const std::function<void()>& errand) const {
  if (outside_)
    outside_->run(errand);
  else
    errand();
}

bool HostSockets::has_ipv6() const {
  bool answer = false;
  run([&] { answer = kernel::has_ipv6(); });
  return answer;
}

std::pair<std::uint16_t, std::uint16_t> HostSockets::ephemeral_range() const {
  std::string text;  // "32768\t60999"
  run([&] { text = kernel::get_net_sysctl("ipv4/ip_local_port_range"); });
  if (const auto parts = split_once(text, '\t')) {
    const auto first = parse_integer<std::uint16_t>(trim(parts->first));
    const auto last = parse_integer<std::uint16_t>(trim(parts->second));
    if (first && last && *first > 0 && *first <= *last) return {*first, *last};
  }
  return {32768, 60999};
}

const InheritedPort* HostSockets::find_inherited(Protocol protocol, const IpAddress& host, std::uint16_t port) const {
  const auto found = std::find_if(inherited_.begin(), inherited_.end(), [&](const auto& given) {
    return given->protocol == protocol && given->port == port && given->host == host;
  });
  return found == inherited_.end() ? nullptr : found->get();
}

std::vector<HostSocket> HostSockets::open(Protocol protocol, const std::vector<IpAddress>& hosts,
                                          std::uint16_t port) const {
  const InheritedPort* both = nullptr;
  const bool wants_v4 = std::find(hosts.begin(), hosts.end(), IpAddress::any(Family::v4)) != hosts.end();
  const bool wants_v6 = std::find(hosts.begin(), hosts.end(), IpAddress::any(Family::v6)) != hosts.end();
  if (wants_v4 && wants_v6) both = find_inherited(protocol, IpAddress::any(Family::v6), port);
  if (both != nullptr && !both->both_families) both = nullptr;
  std::vector<HostSocket> out(hosts.size());
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const InheritedPort* given = find_inherited(protocol, hosts[i], port);
    // One that takes IPv4, too, would open more than what was asked for.
    if (given != nullptr && (!given->both_families || given == both))
      out[i] = {kernel::duplicate_socket(given->fd.get()), given->both_families};
    else if (both == nullptr || !hosts[i].is_any())
      missing.push_back(i);
  }
  if (missing.empty()) return out;
  run([&] {
    for (const std::size_t i : missing)
      out[i].fd = open_one(protocol, outer_ports_ ? outer_ports_->listens_at(hosts[i]) : hosts[i], port);
  });
  return out;
}

}  // namespace bryo::network

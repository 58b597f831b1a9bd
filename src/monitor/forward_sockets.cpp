#include "monitor/forward_sockets.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/error.hpp"

namespace bryo::monitor {
namespace {

bool set_option(int socket, int level, int name) {
  const int on = 1;
  return ::setsockopt(socket, level, name, &on, sizeof on) == 0;
}

kernel::IpAddress address_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET6)
    return kernel::IpAddress::from_bytes(kernel::Family::v6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  return kernel::IpAddress::from_bytes(kernel::Family::v4, &reinterpret_cast<const sockaddr_in&>(address).sin_addr);
}

in_port_t& port_of(sockaddr_storage& address) {
  return address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                       : reinterpret_cast<sockaddr_in&>(address).sin_port;
}

UniqueFd make_socket(int type, const ForwardTarget& target) {
  UniqueFd socket(::socket(target.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket && type == SOCK_STREAM) expect_no_loss(socket.get());
  return socket;
}

bool start_connect(const UniqueFd& socket, const ForwardTarget& target) {
  return ::connect(socket.get(), target.get(), target.size) == 0 || errno == EINPROGRESS;
}

// Port 0: of the kernel's choice, when it connects: ports of other connections can be used once more.
UniqueFd connect_from(const sockaddr_storage& source, int type, const ForwardTarget& target, bool any_port,
                      std::uint32_t mark) {
  UniqueFd socket = make_socket(type, target);
  if (!socket) return {};
  const bool v6 = target.family() == AF_INET6;
  if (!set_option(socket.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT)) return {};
  if (mark != 0 && ::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) return {};
  sockaddr_storage from = source;
  if (any_port) {
    port_of(from) = 0;
    set_option(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  } else {
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR);  // the same client at several published ports
  }
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), target.size) < 0) return {};
  if (!start_connect(socket, target)) return {};
  return socket;
}

}  // namespace

sockaddr_storage without_mapping(const sockaddr_storage& client) {
  if (client.ss_family != AF_INET6) return client;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(client);
  if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return client;
  sockaddr_storage out{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(out);
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port;
  std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
  return out;
}

bool ForwardSockets::may_appear(const sockaddr_storage& client, const ForwardTarget& target) {
  if (client.ss_family != target.family()) return false;
  const kernel::IpAddress address = address_of(client);
  if (address.is_any() || address.is_loopback() || address.is_multicast()) return false;
  if (address.is_v6() && address.is_link_local()) return false;
  try {
    if (!routes_) routes_.emplace();
  } catch (const Error&) {
    return false;  // no descriptor left: the next connection will do better
  }
  const kernel::RouteAnswer route = routes_->ask(address);
  return !route.local && !route.by_bridge;
}

UniqueFd ForwardSockets::connect(int type, const ForwardTargets& targets, const sockaddr_storage& client,
                                 bool port_taken) {
  const sockaddr_storage source = without_mapping(client);
  const ForwardTarget& target = targets.target_for(source.ss_family);
  if (targets.transparent && may_appear(source, target)) {
    if (!port_taken)
      if (UniqueFd socket = connect_from(source, type, target, false, targets.mark)) return socket;
    if (UniqueFd socket = connect_from(source, type, target, true, targets.mark)) return socket;
  }
  UniqueFd socket = make_socket(type, target);
  // When it cannot be bound, the kernel's choice does.
  if (socket && targets.stand_in.size != 0 && targets.stand_in.family() == target.family())
    ::bind(socket.get(), targets.stand_in.get(), targets.stand_in.size);
  if (!socket || !start_connect(socket, target)) return {};
  return socket;
}

void expect_no_loss(int socket) {
  constexpr std::string_view kReno = "reno";
  ::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, kReno.data(), kReno.size());
}

bool is_loopback(const sockaddr_storage& client) { return address_of(without_mapping(client)).is_loopback(); }

bool is_bound_to(int socket, const ForwardTarget& bound) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size) < 0 || name.ss_family != bound.address.ss_family)
    return false;
  auto wanted = bound.address;
  return port_of(name) == port_of(wanted) && address_of(name) == address_of(wanted);
}

}  // namespace bryo::monitor

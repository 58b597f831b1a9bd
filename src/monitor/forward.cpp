#include "monitor/forward.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "monitor/forward_tcp.hpp"
#include "monitor/forward_udp.hpp"

namespace bryo::monitor {

ForwardTarget ForwardTarget::parse(const std::string& address, std::uint16_t port) {
  ForwardTarget target;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&target.address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&target.address);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    target.size = sizeof(sockaddr_in);
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    target.size = sizeof(sockaddr_in6);
  } else {
    fail(ErrorKind::invalid_argument, "\"{}\" is not an IP address to forward to", printable(address));
  }
  return target;
}

ForwardTargets ForwardTargets::parse(const PortForward& forward) {
  ForwardTargets targets;
  targets.first = ForwardTarget::parse(forward.target_address, forward.target_port);
  if (!forward.other_target_address.empty())
    targets.other = ForwardTarget::parse(forward.other_target_address, forward.target_port);
  targets.transparent = forward.transparent;
  return targets;
}

Forwards::Forwards(EventLoop& loop) : loop_(loop) {}
Forwards::~Forwards() = default;

void Forwards::add(PortForward forward) {
  const ForwardTargets targets = ForwardTargets::parse(forward);
  if (forward.protocol == ForwardProtocol::tcp) {
    if (!tcp_) tcp_ = std::make_unique<TcpForwards>(loop_);
    tcp_->add(std::move(forward.socket), targets);
  } else {
    if (!udp_) udp_ = std::make_unique<UdpForwards>(loop_);
    udp_->add(std::move(forward.socket), targets);
  }
}

void Forwards::remove(const std::vector<PortName>& ports, bool others) {
  const auto chosen = [&](ForwardProtocol protocol) {
    std::vector<ForwardTarget> names;
    for (const PortName& port : ports)
      if (port.protocol == protocol) names.push_back(ForwardTarget::parse(port.address, port.port));
    return [names = std::move(names), others](int socket) {
      const auto is = [socket](const ForwardTarget& name) { return is_bound_to(socket, name); };
      return std::any_of(names.begin(), names.end(), is) != others;
    };
  };
  if (tcp_) tcp_->remove_if(chosen(ForwardProtocol::tcp));
  if (udp_) udp_->remove_if(chosen(ForwardProtocol::udp));
}

void Forwards::stop_listening() {
  if (tcp_) tcp_->stop_listening();
  udp_.reset();  // its replies leave through the same socket
}

void Forwards::clear() {
  tcp_.reset();
  udp_.reset();
}

}  // namespace bryo::monitor

// Which address does a container see when one of its forwards connects to it? Part of Forwards.
//
// Transparent forwards: the client's own address and port, by IP_TRANSPARENT (ip(7)). The engine's firewall and routes
// bring the answers back (network/transparent_routes.hpp). Where that cannot be, the client's address with another port
// (the same client came twice to the same place); else what the kernel chooses: an address of the container's bridge,
// which is what Docker's proxy shows. Never an address of loopback (CVE-2021-20199). The client's address cannot be had
//   - for a target of the other family,
//   - when it is an address of this namespace itself, or loopback,
//   - when it is an IPv6 address of one link only,
//   - when this namespace reaches it by a bridge: a container has or could have it, and answers would go there.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "base/unique_fd.hpp"
#include "kernel/netlink_routes.hpp"
#include "monitor/forward.hpp"

namespace bryo::monitor {

class ForwardSockets {
 public:
  // Connected, or (SOCK_STREAM) about to be: non-blocking. `port_taken`: do not try the client's own port. Empty, with
  // errno, when there is no way to the target or no descriptor left.
  UniqueFd connect(int type, const ForwardTargets& targets, const sockaddr_storage& client, bool port_taken = false);

 private:
  bool may_appear(const sockaddr_storage& client, const ForwardTarget& target);

  std::optional<kernel::RouteLookup> routes_;  // made when needed
};

// As sockets for both families show IPv4 clients (::ffff:192.0.2.7): the IPv4 address. Others as they are.
sockaddr_storage without_mapping(const sockaddr_storage& client);

// For a stream whose other end is on this machine: what the host has chosen for the world (BBR paces what it sends, by
// a timer for each socket) only takes time there. Reno is always there, and everybody may choose it (tcp(7)).
void expect_no_loss(int socket);

bool is_loopback(const sockaddr_storage& client);

// Does the socket have exactly this address and port?
bool is_bound_to(int socket, const ForwardTarget& bound);

}  // namespace bryo::monitor

// Who is who in the small network between the namespace and the stack. Pure.
#pragma once

#include <string>

#include "kernel/sockets_address.hpp"

namespace bryo::rootless {

struct UserNetworkAddresses {
  kernel::IpPrefix network;   // 10.0.2.0/24
  kernel::IpAddress host;     // .2: the gateway, and the host's own services
  kernel::IpAddress dns;      // .3: answers as the host's name servers do
  kernel::IpAddress guest;    // .100: the namespace's own
  kernel::IpPrefix network6;  // the same for IPv6: ::2, ::3, ::100
  kernel::IpAddress host6, dns6, guest6;
};

// Our own unique local prefix (RFC 4193; the global id is "bryo" and a zero).
inline constexpr const char* kOwnPrefix6 = "fd62:7279:6f00::/64";

// Error{invalid_argument} unless `cidr` is an IPv4 network of /8 to /25 and `cidr6` an IPv6 one of /64.
UserNetworkAddresses user_network_addresses(const std::string& cidr, const std::string& cidr6 = kOwnPrefix6);

}  // namespace bryo::rootless

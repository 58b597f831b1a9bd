// What does the address of a connect() name? Pure.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernel/sockets_address.hpp"

namespace bryo::bypass {

enum class AddressKind {
  malformed,     // too short for its family: the kernel has an answer of its own
  other_family,  // unix, AF_UNSPEC, netlink …
  unspecified,   // 0/8, ::; connecting there reaches the loopback interface
  loopback,
  link_local,
  multicast,
  reserved,  // 240/4 with 255.255.255.255; ::/96 and ::ffff:0:0:0/96, which hide an IPv4 address
  scoped,    // with a zone, or without a port
  routable,
};

struct Address {
  AddressKind kind = AddressKind::malformed;
  // Of routable ones; an IPv4-mapped address is IPv4 here.
  kernel::IpAddress ip;
  // The address as it will be connected to: nothing in it but family, port and address.
  sockaddr_storage socket_address{};
  socklen_t size = 0;
};

// The bytes that connect(2) was given, in their full length. IPv4 addresses that an IPv6 address carries inside
// (mapped, 6to4, NAT64) are looked at, too.
Address parse_address(std::span<const std::byte> bytes);
// As much of an address as this module looks at.
inline constexpr std::size_t kLongestAddress = 28;

}  // namespace bryo::bypass

#include "bypass/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace bryo::bypass {
namespace {

using kernel::Family;
using kernel::IpAddress;

// sockaddr_in6 of RFC 2133 has no scope; the kernel takes it (net/ipv6/af_inet6.c).
constexpr std::size_t kShortestV6 = 24;

AddressKind kind_of_v4(std::uint32_t address) {
  if (address >> 24 == 0) return AddressKind::unspecified;
  if (address >> 24 == 127) return AddressKind::loopback;
  if (address >> 16 == 0xa9fe) return AddressKind::link_local;
  if (address >> 28 == 0xe) return AddressKind::multicast;
  if (address >> 28 == 0xf) return AddressKind::reserved;
  return AddressKind::routable;
}

std::uint32_t v4_at(const in6_addr& address, std::size_t offset) {
  std::uint32_t out = 0;
  std::memcpy(&out, address.s6_addr + offset, sizeof out);
  return ntohl(out);
}

bool starts_with(const in6_addr& address, std::initializer_list<std::uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), address.s6_addr);
}

AddressKind kind_of_v6(const in6_addr& address) {
  if (IN6_IS_ADDR_UNSPECIFIED(&address)) return AddressKind::unspecified;
  if (IN6_IS_ADDR_LOOPBACK(&address)) return AddressKind::loopback;
  if (IN6_IS_ADDR_V4MAPPED(&address)) return kind_of_v4(v4_at(address, 12));
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return AddressKind::reserved;
  if (starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0})) return AddressKind::reserved;
  if (starts_with(address, {0xfe}) && (address.s6_addr[1] & 0xc0) == 0x80) return AddressKind::link_local;
  if (starts_with(address, {0xff})) return AddressKind::multicast;
  if (starts_with(address, {0x20, 0x02})) return kind_of_v4(v4_at(address, 2));
  if (starts_with(address, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return kind_of_v4(v4_at(address, 12));
  return AddressKind::routable;
}

Address parse_v4(std::span<const std::byte> bytes) {
  Address out;
  sockaddr_in given{};
  if (bytes.size() < sizeof given) return out;
  std::memcpy(&given, bytes.data(), sizeof given);
  out.kind = kind_of_v4(ntohl(given.sin_addr.s_addr));
  if (out.kind == AddressKind::routable && given.sin_port == 0) out.kind = AddressKind::scoped;
  sockaddr_in clean{};
  clean.sin_family = AF_INET;
  clean.sin_port = given.sin_port;
  clean.sin_addr = given.sin_addr;
  std::memcpy(&out.socket_address, &clean, sizeof clean);
  out.size = sizeof clean;
  out.ip = IpAddress::from_bytes(Family::v4, &given.sin_addr);
  return out;
}

Address parse_v6(std::span<const std::byte> bytes) {
  Address out;
  sockaddr_in6 given{};
  if (bytes.size() < kShortestV6) return out;
  std::memcpy(&given, bytes.data(), std::min(bytes.size(), sizeof given));
  if (bytes.size() < sizeof given) given.sin6_scope_id = 0;
  out.kind = kind_of_v6(given.sin6_addr);
  if (out.kind == AddressKind::routable && (given.sin6_port == 0 || given.sin6_scope_id != 0))
    out.kind = AddressKind::scoped;
  sockaddr_in6 clean{};
  clean.sin6_family = AF_INET6;
  clean.sin6_port = given.sin6_port;
  clean.sin6_addr = given.sin6_addr;
  std::memcpy(&out.socket_address, &clean, sizeof clean);
  out.size = sizeof clean;
  out.ip = IN6_IS_ADDR_V4MAPPED(&given.sin6_addr) ? IpAddress::v4(v4_at(given.sin6_addr, 12))
                                                  : IpAddress::from_bytes(Family::v6, &given.sin6_addr);
  return out;
}

}  // namespace

Address parse_address(std::span<const std::byte> bytes) {
  sa_family_t family = 0;
  if (bytes.size() < sizeof family) return {};
  std::memcpy(&family, bytes.data(), sizeof family);
  if (family == AF_INET) return parse_v4(bytes);
  if (family == AF_INET6) return parse_v6(bytes);
  Address other;
  other.kind = AddressKind::other_family;
  return other;
}

}  // namespace bryo::bypass

// IP addresses and prefixes as values: parsing, printing, arithmetic. Pure; no system call, no name look-up, any
// thread.
//
// Text forms are those of inet_pton/inet_ntop (RFC 5952 for IPv6): no leading zeros, no zone, no IPv4 shorthand such as
// "10.1". An IPv4-mapped IPv6 text ("::ffff:10.0.0.1") becomes the IPv4 address, so that one address has one value.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::kernel {

// Host-order number wide enough for both families.
__extension__ using Uint128 = unsigned __int128;

enum class Family : std::uint8_t { none, v4, v6 };

class IpAddress {
 public:
  // "No address": formats as "".
  IpAddress() = default;
  static std::optional<IpAddress> try_parse(std::string_view text);
  // Throws Error{invalid_argument, "invalid IP address: …"}.
  static IpAddress parse(std::string_view text);
  static IpAddress v4(std::uint32_t host_order);
  static IpAddress v6(Uint128 host_order);
  static IpAddress from_bytes(Family family, const void* network_order);
  // 0.0.0.0 or ::
  static IpAddress any(Family family);

  Family family() const { return family_; }
  bool empty() const { return family_ == Family::none; }
  bool is_v4() const { return family_ == Family::v4; }
  bool is_v6() const { return family_ == Family::v6; }
  bool is_any() const { return !empty() && value_ == 0; }
  bool is_loopback() const;
  bool is_link_local() const;
  bool is_multicast() const;
  // 4 or 16; 0 for "no address".
  int size() const { return is_v4() ? 4 : is_v6() ? 16 : 0; }
  int bits() const { return size() * 8; }
  Uint128 value() const { return value_; }
  // Network order; the first size() bytes count.
  std::array<std::uint8_t, 16> bytes() const;
  std::string str() const;
  // "10.0.0.1:80", "[::1]:80".
  std::string with_port(std::uint16_t port) const;
  IpAddress plus(Uint128 offset) const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  IpAddress(Family family, Uint128 value) : family_(family), value_(value) {}
  Family family_ = Family::none;
  Uint128 value_ = 0;
};

// An address with a prefix length: a subnet when canonical, an interface address otherwise.
class IpPrefix {
 public:
  IpPrefix() = default;
  IpPrefix(IpAddress address, int length);
  static std::optional<IpPrefix> try_parse(std::string_view text);
  // "10.0.0.0/8"; throws Error{invalid_argument, "invalid CIDR address: …"} (Go's words).
  static IpPrefix parse(std::string_view text);

  bool empty() const { return address_.empty(); }
  const IpAddress& address() const { return address_; }
  int length() const { return length_; }
  Family family() const { return address_.family(); }
  // Lowest and highest address of the subnet that it names.
  IpAddress first() const;
  IpAddress last() const;
  IpPrefix canonical() const { return IpPrefix(first(), length_); }
  bool contains(const IpAddress& address) const;
  bool contains(const IpPrefix& other) const;
  bool overlaps(const IpPrefix& other) const;
  std::string str() const;
  auto operator<=>(const IpPrefix&) const = default;

 private:
  IpAddress address_;
  int length_ = 0;
};

// Six bytes of an Ethernet address.
using MacAddress = std::array<std::uint8_t, 6>;
// "02:42:ac:11:00:02", in either case, also with '-'; nullopt when malformed, multicast or all zero.
std::optional<MacAddress> try_parse_mac(std::string_view text);
std::string to_string(const MacAddress& mac);

}  // namespace bryo::kernel

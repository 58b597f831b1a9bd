#include "kernel/sockets_address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

// All ones above the lowest `host_bits` bits.
Uint128 network_mask(int bits, int length) {
  const int host_bits = bits - length;
  if (host_bits >= 128) return 0;
  return ~((Uint128{1} << host_bits) - 1);
}

Uint128 width_mask(Family family) { return family == Family::v4 ? Uint128{0xffffffffU} : ~Uint128{0}; }

}  // namespace

std::optional<IpAddress> IpAddress::try_parse(std::string_view text) {
  if (text.empty() || text.size() > INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  std::array<std::uint8_t, 16> raw{};
  if (inet_pton(AF_INET, copy.c_str(), raw.data()) == 1) return from_bytes(Family::v4, raw.data());
  if (inet_pton(AF_INET6, copy.c_str(), raw.data()) != 1) return std::nullopt;
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(raw.data(), kMapped.data(), kMapped.size()) == 0) return from_bytes(Family::v4, raw.data() + 12);
  return from_bytes(Family::v6, raw.data());
}

IpAddress IpAddress::parse(std::string_view text) {
  if (auto address = try_parse(text)) return *address;
  fail(ErrorKind::invalid_argument, "invalid IP address: {}", printable(text, 64));
}

IpAddress IpAddress::v4(std::uint32_t host_order) { return {Family::v4, host_order}; }
IpAddress IpAddress::v6(Uint128 host_order) { return {Family::v6, host_order}; }
IpAddress IpAddress::any(Family family) { return {family, 0}; }

IpAddress IpAddress::from_bytes(Family family, const void* network_order) {
  std::array<std::uint8_t, 16> raw{};
  const std::size_t size = family == Family::v4 ? 4 : 16;
  std::memcpy(raw.data(), network_order, size);
  Uint128 value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | raw[i];
  return {family, value};
}

bool IpAddress::is_loopback() const { return is_v4() ? value_ >> 24 == 127 : is_v6() && value_ == 1; }

bool IpAddress::is_link_local() const {
  if (is_v4()) return value_ >> 16 == 0xa9fe;
  return is_v6() && static_cast<unsigned>(value_ >> 118) == 0x3fa;  // fe80::/10
}

bool IpAddress::is_multicast() const {
  if (is_v4()) return static_cast<unsigned>(value_ >> 28) == 0xe;
  return is_v6() && static_cast<unsigned>(value_ >> 120) == 0xff;
}

std::array<std::uint8_t, 16> IpAddress::bytes() const {
  std::array<std::uint8_t, 16> out{};
  Uint128 rest = value_;
  for (int i = size() - 1; i >= 0; --i, rest >>= 8)
    out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(rest & 0xff);
  return out;
}

std::string IpAddress::str() const {
  if (empty()) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes().data(), text.data(), text.size());
  return text.data();
}

std::string IpAddress::with_port(std::uint16_t port) const {
  return is_v6() ? fmt::format("[{}]:{}", str(), port) : fmt::format("{}:{}", str(), port);
}

IpAddress IpAddress::plus(Uint128 offset) const { return {family_, (value_ + offset) & width_mask(family_)}; }

IpPrefix::IpPrefix(IpAddress address, int length) : address_(address), length_(length) {
  if (address.empty() || length < 0 || length > address.bits())
    fail(ErrorKind::invalid_argument, "invalid CIDR address: {}/{}", address.str(), length);
}

std::optional<IpPrefix> IpPrefix::try_parse(std::string_view text) {
  const auto parts = split_once(text, '/');
  if (!parts) return std::nullopt;
  const auto address = IpAddress::try_parse(parts->first);
  const auto length = parse_integer<unsigned>(parts->second);
  if (!address || !length || *length > static_cast<unsigned>(address->bits())) return std::nullopt;
  return IpPrefix(*address, static_cast<int>(*length));
}

IpPrefix IpPrefix::parse(std::string_view text) {
  if (auto prefix = try_parse(text)) return *prefix;
  fail(ErrorKind::invalid_argument, "invalid CIDR address: {}", printable(text, 64));
}

IpAddress IpPrefix::first() const {
  const Uint128 value = address_.value() & network_mask(address_.bits(), length_);
  return address_.is_v4() ? IpAddress::v4(static_cast<std::uint32_t>(value)) : IpAddress::v6(value);
}

IpAddress IpPrefix::last() const {
  const Uint128 value = (address_.value() | ~network_mask(address_.bits(), length_)) & width_mask(address_.family());
  return address_.is_v4() ? IpAddress::v4(static_cast<std::uint32_t>(value)) : IpAddress::v6(value);
}

bool IpPrefix::contains(const IpAddress& address) const {
  return address.family() == family() && first() <= address && address <= last();
}

bool IpPrefix::contains(const IpPrefix& other) const {
  return !other.empty() && contains(other.first()) && contains(other.last());
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
  return !empty() && family() == other.family() && first() <= other.last() && other.first() <= last();
}

std::string IpPrefix::str() const { return empty() ? std::string() : fmt::format("{}/{}", address_.str(), length_); }

std::optional<MacAddress> try_parse_mac(std::string_view text) {
  MacAddress mac{};
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const std::string_view pair = text.substr(i * 3, 2);
    const auto [end, error] = std::from_chars(pair.data(), pair.data() + 2, mac[i], 16);
    if (error != std::errc() || end != pair.data() + 2) return std::nullopt;
    if (i < 5 && text[i * 3 + 2] != ':' && text[i * 3 + 2] != '-') return std::nullopt;
  }
  if ((mac[0] & 1U) != 0 || mac == MacAddress{}) return std::nullopt;
  return mac;
}

std::string to_string(const MacAddress& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

}  // namespace bryo::kernel

#include "registry/addresses.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "base/strings.hpp"

namespace bryo::registry {

namespace {

AddressBytes mapped(const std::uint8_t* four) {
  AddressBytes out{};
  out[10] = out[11] = 0xff;
  std::copy_n(four, 4, out.begin() + 12);
  return out;
}

bool has_prefix(const AddressBytes& address, const AddressBytes& network, unsigned bits) {
  for (unsigned bit = 0; bit < bits; bit += 8) {
    const unsigned rest = std::min(8U, bits - bit);
    const auto mask = static_cast<std::uint8_t>(0xff00U >> rest);
    if (((address[bit / 8] ^ network[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

bool in_any(const AddressBytes& address, std::initializer_list<const char*> networks) {
  return std::ranges::any_of(networks, [&](const char* text) { return Cidr::parse(text)->contains(address); });
}

// An IPv4 address inside 64:ff9b::/96 (NAT64), ::/96 or 2002::/16 (6to4) is judged as what it stands for.
AddressBytes unwrapped(const AddressBytes& address) {
  if (in_any(address, {"64:ff9b::/96"})) return mapped(address.data() + 12);
  if (in_any(address, {"2002::/16"})) return mapped(address.data() + 2);
  if (in_any(address, {"::/96"}) && !in_any(address, {"::/127"})) return mapped(address.data() + 12);
  return address;
}

bool is_link_local(const AddressBytes& address) {
  // With the metadata services of AWS (IPv6), Alibaba and Azure, which are elsewhere; and what is no unicast host.
  return in_any(address, {"169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32",
                          "224.0.0.0/3", "ff00::/8"});
}

}  // namespace

bool is_loopback(const AddressBytes& address) {
  return in_any(unwrapped(address), {"127.0.0.0/8", "0.0.0.0/8", "::/127"});
}

bool may_connect(Reach reach, const AddressBytes& address) {
  if (reach == Reach::anywhere) return true;
  if (is_link_local(unwrapped(address))) return false;
  return reach == Reach::not_link_local || !is_loopback(address);
}

bool may_connect(Reach reach, const struct sockaddr* address) {
  if (address->sa_family == AF_INET) {
    struct sockaddr_in v4 = {};
    std::memcpy(&v4, address, sizeof v4);
    std::array<std::uint8_t, 4> four{};
    std::memcpy(four.data(), &v4.sin_addr, 4);
    return may_connect(reach, mapped(four.data()));
  }
  if (address->sa_family != AF_INET6) return reach == Reach::anywhere;
  struct sockaddr_in6 v6 = {};
  std::memcpy(&v6, address, sizeof v6);
  AddressBytes bytes{};
  std::memcpy(bytes.data(), &v6.sin6_addr, 16);
  return may_connect(reach, bytes);
}

std::optional<AddressBytes> parse_address(std::string_view text) {
  const std::string copy(text);
  std::array<std::uint8_t, 4> four{};
  if (::inet_pton(AF_INET, copy.c_str(), four.data()) == 1) return mapped(four.data());
  AddressBytes bytes{};
  if (::inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = parse_address(host);
  return address && is_loopback(*address);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const auto pair = split_once(text, '/');
  if (!pair) return std::nullopt;
  const auto address = parse_address(pair->first);
  const auto bits = parse_integer<unsigned>(pair->second);
  const bool v4 = pair->first.find(':') == std::string_view::npos;
  if (!address || !bits || *bits > (v4 ? 32U : 128U)) return std::nullopt;
  Cidr out;
  out.text_ = std::string(text);
  out.network_ = *address;
  out.bits_ = v4 ? *bits + 96 : *bits;
  return out;
}

bool Cidr::contains(const AddressBytes& address) const { return has_prefix(address, network_, bits_); }

}  // namespace bryo::registry

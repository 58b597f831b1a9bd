#include "bypass/address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace bryo::bypass {
namespace {

std::vector<std::byte> bytes_of(const void* address, std::size_t size) {
  const auto* from = static_cast<const std::byte*>(address);
  return {from, from + size};
}

std::vector<std::byte> v4(const std::string& text, std::uint16_t port = 80) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &address.sin_addr), 1) << text;
  return bytes_of(&address, sizeof address);
}

std::vector<std::byte> v6(const std::string& text, std::uint16_t port = 80, std::uint32_t scope = 0) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_scope_id = scope;
  address.sin6_flowinfo = 0x12345;
  EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &address.sin6_addr), 1) << text;
  return bytes_of(&address, sizeof address);
}

AddressKind kind_of(const std::string& text) {
  return parse_address(text.find(':') == std::string::npos ? v4(text) : v6(text)).kind;
}

struct Case {
  const char* text;
  AddressKind kind;
};

TEST(Address, IsWhatItReaches) {
  using K = AddressKind;
  const Case cases[] = {
      {"0.0.0.0", K::unspecified},
      {"0.255.255.255", K::unspecified},
      {"1.0.0.0", K::routable},
      {"10.0.0.1", K::routable},
      {"126.255.255.255", K::routable},
      {"127.0.0.0", K::loopback},
      {"127.0.0.1", K::loopback},
      {"127.255.255.255", K::loopback},
      {"128.0.0.0", K::routable},
      {"169.253.255.255", K::routable},
      {"169.254.0.0", K::link_local},
      {"169.254.169.254", K::link_local},
      {"169.255.0.0", K::routable},
      {"192.168.1.1", K::routable},
      {"223.255.255.255", K::routable},
      {"224.0.0.1", K::multicast},
      {"239.255.255.255", K::multicast},
      {"240.0.0.0", K::reserved},
      {"255.255.255.255", K::reserved},
      {"::", K::unspecified},
      {"::1", K::loopback},
      {"::2", K::reserved},
      {"::127.0.0.1", K::reserved},
      {"::ffff:127.0.0.1", K::loopback},
      {"::ffff:0.0.0.0", K::unspecified},
      {"::ffff:10.0.0.1", K::routable},
      {"::ffff:224.0.0.1", K::multicast},
      {"::ffff:0:7f00:1", K::reserved},
      {"64:ff9b::127.0.0.1", K::loopback},
      {"64:ff9b::8.8.8.8", K::routable},
      {"2002:7f00:1::1", K::loopback},
      {"2002:808:808::1", K::routable},
      {"2001:db8::1", K::routable},
      {"fd00::1", K::routable},
      {"fe80::1", K::link_local},
      {"febf::1", K::link_local},
      {"fec0::1", K::routable},
      {"ff02::1", K::multicast},
  };
  for (const Case& c : cases) EXPECT_EQ(kind_of(c.text), c.kind) << c.text;
}

TEST(Address, ZonesAndPortZeroAreTheKernelsBusiness) {
  EXPECT_EQ(parse_address(v6("2001:db8::1", 80, 3)).kind, AddressKind::scoped);
  EXPECT_EQ(parse_address(v6("::1", 80, 3)).kind, AddressKind::loopback);
  EXPECT_EQ(parse_address(v6("2001:db8::1", 0)).kind, AddressKind::scoped);
  EXPECT_EQ(parse_address(v4("10.0.0.1", 0)).kind, AddressKind::scoped);
}

TEST(Address, NothingButFamilyPortAndAddressIsConnectedTo) {
  auto bytes = v4("10.0.0.1");
  bytes[9] = std::byte{0x55};  // sin_zero
  sockaddr_in out{};
  const Address four = parse_address(bytes);
  std::memcpy(&out, &four.socket_address, sizeof out);
  EXPECT_EQ(out.sin_zero[1], 0);
  sockaddr_in6 six{};
  const Address address = parse_address(v6("2001:db8::7", 99));
  std::memcpy(&six, &address.socket_address, sizeof six);
  EXPECT_EQ(six.sin6_flowinfo, 0U);
  EXPECT_EQ(six.sin6_port, htons(99));
  EXPECT_EQ(address.size, sizeof six);
  EXPECT_EQ(address.ip.str(), "2001:db8::7");
  EXPECT_EQ(parse_address(v6("::ffff:10.0.0.1")).ip.str(), "10.0.0.1");
}

TEST(Address, EveryLengthHasAnAnswer) {
  for (const auto& whole : {v4("10.0.0.1"), v6("2001:db8::1")}) {
    const std::size_t shortest = whole.size() == sizeof(sockaddr_in) ? sizeof(sockaddr_in) : 24;
    for (std::size_t size = 0; size <= whole.size(); ++size) {
      // A buffer of its own, so that a look past the end is seen by the sanitizer.
      const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_EQ(parse_address(part).kind, size < shortest ? AddressKind::malformed : AddressKind::routable) << size;
    }
  }
}

TEST(Address, NoBytesAtAllAreConnectedToUnlessRoutable) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    std::vector<std::byte> bytes(random() % (kLongestAddress + 1));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    const sa_family_t families[] = {AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, 0xffff};
    if (bytes.size() >= 2) std::memcpy(bytes.data(), &families[random() % 5], 2);
    if (bytes.size() >= 24 && random() % 2 == 0) std::memset(bytes.data() + 8, 0, 10);
    const Address address = parse_address(bytes);
    if (address.kind != AddressKind::routable) continue;
    EXPECT_FALSE(address.ip.is_loopback() || address.ip.is_any() || address.ip.is_link_local() ||
                 address.ip.is_multicast())
        << address.ip.str();
    EXPECT_TRUE(address.ip.is_v4() || address.ip.is_v6());
  }
}

}  // namespace
}  // namespace bryo::bypass

#include "rootless/usernet/config.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "rootless/usernet/addresses.hpp"
#include "rootless/usernet/resolver_file.hpp"

namespace bryo::rootless::usernet {
namespace {

Config parsed(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  return parse_arguments(arguments);
}

TEST(UsernetConfig, ArgumentsSayWhatTheyWereMadeFrom) {
  Config config;
  config.mtu = 1500;
  config.cidr = "10.9.0.0/16";
  config.host_ports = {80, 65535};
  config.host_loopback = true;
  config.resolv_conf = "/run/x/resolv.conf";
  EXPECT_EQ(parsed(arguments_of(config)), config);
  config = {};
  EXPECT_EQ(parsed(arguments_of(config)), config);
  config.ipv6 = false;
  EXPECT_EQ(parsed(arguments_of(config)), config);
}

TEST(UsernetConfig, WrongArgumentsAreNamed) {
  for (const char* wrong :
       {"--mtu=1279", "--mtu=65522", "--mtu=", "--mtu=x", "--host-port=0", "--host-port=65536", "--cidr=10.0.2.0/26",
        "--cidr=nonsense", "--cidr=fd00::/64", "--resolv-conf=etc/resolv.conf", "--ipv6=yes", "--verbose", "tap0"})
    EXPECT_THROW(parsed({wrong}), Error) << wrong;
}

TEST(UsernetAddresses, AreThoseThatPeopleKnow) {
  const auto a = user_network_addresses("10.0.2.0/24");
  EXPECT_EQ(a.host.str(), "10.0.2.2");
  EXPECT_EQ(a.dns.str(), "10.0.2.3");
  EXPECT_EQ(a.guest.str(), "10.0.2.100");
  EXPECT_EQ(a.host6.str(), "fd62:7279:6f00::2");
  EXPECT_EQ(a.guest6.str(), "fd62:7279:6f00::100");
  const auto b = user_network_addresses("192.168.7.128/25", "fd00::/64");
  EXPECT_EQ(b.guest.str(), "192.168.7.228");
  EXPECT_EQ(b.dns6.str(), "fd00::3");
  EXPECT_EQ(user_network_addresses("10.0.2.9/24").network.str(), "10.0.2.0/24") << "of an address in it";
}

TEST(ResolverFile, KeepsNameServersOnly) {
  const auto addresses = user_network_addresses("10.0.2.0/24");
  EXPECT_EQ(resolver_file("# by hand\nsearch a b\nnameserver 127.0.0.53\noptions edns0 trust-ad\n", addresses),
            "nameserver 127.0.0.53\n");
  EXPECT_EQ(resolver_file("nameserver\t192.0.2.1 \nnameserver 2001:db8::1\nnameserver fe80::1%eth0", addresses),
            "nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n");
  EXPECT_EQ(
      resolver_file("nameserver\nnameservers 192.0.2.1\n nameserver 192.0.2.1\nnameserver example.org\n", addresses),
      "");
  EXPECT_EQ(resolver_file("", addresses), "");
}

TEST(ResolverFile, OurOwnServerWouldBeALoop) {
  const auto addresses = user_network_addresses("10.0.2.0/24");
  EXPECT_EQ(resolver_file("nameserver 10.0.2.3\nnameserver fd62:7279:6f00::3\nnameserver 192.0.2.1\n", addresses),
            "nameserver 192.0.2.1\n");
}

TEST(ResolverFile, AsManyAsTheLibraryAsks) {
  const auto addresses = user_network_addresses("10.0.2.0/24");
  EXPECT_EQ(resolver_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
                          addresses),
            "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n");
}

}  // namespace
}  // namespace bryo::rootless::usernet

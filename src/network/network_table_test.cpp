#include "network/network_table.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "network/port_table.hpp"

namespace bryo::network {
namespace {

using kernel::IpAddress;
using kernel::IpPrefix;

class Table : public ::testing::Test {
 protected:
  NetworkState& make(const std::string& name, std::function<void(NetworkCreate&)> change = {}) {
    NetworkCreate request;
    request.name = name;
    if (change) change(request);
    NetworkState& state = table.add(table.plan(request, {}));
    state.ready = true;
    return state;
  }
  std::pair<ErrorKind, std::string> refusal(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return {error.kind(), error.message()};
    }
    return {ErrorKind::internal, "nothing was refused"};
  }
  static EndpointRequest request_of(const std::string& container) {
    EndpointRequest request;
    request.container_id = std::string(64, container[0]);
    request.container_name = container;
    return request;
  }
  NetworkTable table{NetworkOptions{}};
};

using Refusal = std::pair<ErrorKind, std::string>;

TEST_F(Table, FindsByNameIdAndPrefix) {
  NetworkState& red = make("red");
  EXPECT_EQ(&table.find("red"), &red);
  EXPECT_EQ(&table.find(red.config.id), &red);
  EXPECT_EQ(&table.find(red.config.id.substr(0, 12)), &red);
  EXPECT_EQ(refusal([&] { table.find("blue"); }), Refusal(ErrorKind::not_found, "network blue not found"));
  NetworkState& shadow = make(red.config.id.substr(0, 5));
  EXPECT_EQ(&table.find(red.config.id.substr(0, 5)), &shadow) << "a name goes before a prefix";
  for (int i = 0; i < 17; ++i)
    make("n" + std::to_string(i), [&](NetworkCreate& r) {
      r.ipam.pools = {{"10." + std::to_string(i) + ".0.0/16", "", "", {}}};
    });
  bool ambiguous = false;
  for (const char digit : std::string("0123456789abcdef"))
    ambiguous |= refusal([&] { table.find(std::string(1, digit)); }).second.find("is ambiguous") != std::string::npos;
  EXPECT_TRUE(ambiguous);
}

TEST_F(Table, RefusesInDockersWords) {
  make("red", [](NetworkCreate& r) { r.ipam.pools = {{"10.5.0.0/16", "", "", {}}}; });
  EXPECT_EQ(refusal([&] { make("red"); }), Refusal(ErrorKind::conflict, "network with name red already exists"));
  EXPECT_EQ(refusal([&] { make("blue", [](NetworkCreate& r) {
                            r.ipam.pools = {{"10.5.9.0/24", "", "", {}}};
                          }); }),
            Refusal(ErrorKind::permission, "Pool overlaps with other one on this address space"));
  EXPECT_EQ(refusal([&] { make("host"); }),
            Refusal(ErrorKind::permission, "operation is not permitted on predefined host network"));
  EXPECT_EQ(refusal([&] { make("blue", [](NetworkCreate& r) { r.driver = "host"; }); }),
            Refusal(ErrorKind::permission, "only one instance of \"host\" network is allowed"));
  EXPECT_EQ(refusal([&] { make("blue", [](NetworkCreate& r) { r.driver = "macvlan"; }); }).first,
            ErrorKind::unsupported);
  EXPECT_EQ(refusal([&] { make("blue", [](NetworkCreate& r) { r.driver = "weave"; }); }),
            Refusal(ErrorKind::not_found, "plugin \"weave\" not found"));
  for (const char* key :
       {"com.docker.network.bridge.enable_icc", "com.docker.network.driver.mtu", "com.docker.network.bridge.name"}) {
    EXPECT_EQ(refusal([&] { make("blue", [&](NetworkCreate& r) { r.options[key] = "not/so good"; }); }).first,
              ErrorKind::invalid_argument)
        << key;
  }
}

TEST_F(Table, CVE_2021_20206_NamesAreNeverPaths) {
  for (const std::string& name :
       {std::string(""), std::string(".."), std::string("../x"), std::string("a/b"), std::string("-a"),
        std::string(" b"), std::string("b "), std::string("a\nb"), std::string("a;b"), std::string("a\0b", 3),
        std::string("\xc3\xa9"), std::string(256, 'a')}) {
    EXPECT_EQ(refusal([&] { make(name); }).first, ErrorKind::invalid_argument) << name;
    EXPECT_NE(refusal([&] { make("good", [&](NetworkCreate& r) { r.driver = name; }); }).second, "nothing was refused");
  }
}

TEST_F(Table, EndpointsGetAddressesAndGiveThemBack) {
  NetworkState& red = make("red", [](NetworkCreate& r) { r.ipam.pools = {{"10.5.0.0/29", "", "", {}}}; });
  EndpointRequest request = request_of("a");
  request.hostname = "host-a";
  request.aliases = {"svc", "a"};
  const Endpoint first = table.reserve(red, request);
  EXPECT_EQ(first.ip_address, "10.5.0.2");
  EXPECT_EQ(first.gateway, "10.5.0.1");
  EXPECT_EQ(first.ip_prefix_length, 29);
  EXPECT_EQ(first.mac, "02:42:0a:05:00:02");
  EXPECT_EQ(first.dns_names, (std::vector<std::string>{"a", "svc", std::string(12, 'a'), "host-a"}));
  EXPECT_EQ(first.host_interface.size(), 14U);
  EXPECT_EQ(refusal([&] { table.reserve(red, request); }),
            Refusal(ErrorKind::permission, "endpoint with name a already exists in network red"));
  EndpointRequest fixed = request_of("b");
  fixed.ipv4 = "10.5.0.2";
  EXPECT_EQ(refusal([&] { table.reserve(red, fixed); }).first, ErrorKind::conflict);
  fixed.ipv4 = "10.6.0.2";
  EXPECT_EQ(refusal([&] { table.reserve(red, fixed); }),
            Refusal(ErrorKind::invalid_argument,
                    "Invalid address 10.6.0.2: It does not belong to any of this network's subnets"));
  fixed.ipv4 = "10.5.0.6";
  fixed.mac = "02:00:00:00:00:0f";
  EXPECT_EQ(table.reserve(red, fixed).mac, "02:00:00:00:00:0f");
  for (const char* name : {"c", "d", "e"}) table.reserve(red, request_of(name));
  EXPECT_EQ(refusal([&] { table.reserve(red, request_of("f")); }),
            Refusal(ErrorKind::exhausted,
                    "no available IPv4 addresses on this network's address pools: red (" + red.config.id + ")"));
  EXPECT_TRUE(table.release(first.endpoint_id));
  EXPECT_FALSE(table.release(first.endpoint_id));
  EXPECT_EQ(table.reserve(red, request_of("f")).ip_address, "10.5.0.2");
}

TEST_F(Table, FailedReservationTakesNothing) {
  NetworkState& six = make("six", [](NetworkCreate& r) {
    r.enable_ipv6 = true;
    r.ipam.pools = {{"10.5.0.0/24", "", "", {}}, {"fd00:5::/64", "", "", {}}};
  });
  EndpointRequest request = request_of("a");
  request.ipv6 = "fd00:6::1";
  EXPECT_THROW(table.reserve(six, request), Error);
  request.ipv6.clear();
  request.mac = "no mac";
  EXPECT_THROW(table.reserve(six, request), Error);
  const Endpoint endpoint = table.reserve(six, request_of("a"));
  EXPECT_EQ(endpoint.ip_address, "10.5.0.2");
  EXPECT_EQ(endpoint.ipv6_address, "fd00:5::2");
  EXPECT_EQ(endpoint.ipv6_gateway, "fd00:5::1");
}

TEST_F(Table, DefaultBridgeFollowsTheOptionsAndKeepsTheRest) {
  const NetworkConfig chosen = table.plan_default_bridge(nullptr, {IpPrefix::parse("172.17.0.0/16")});
  EXPECT_EQ(chosen.ipam.pools.at(0).subnet, "172.18.0.0/16");
  EXPECT_EQ(table.plan_default_bridge(&chosen, {}).ipam.pools.at(0).subnet, "172.18.0.0/16") << "stays where it was";
  EXPECT_EQ(table.plan_default_bridge(&chosen, {}).id, chosen.id);
  NetworkOptions options;
  options.bip = "10.20.30.1/24";
  options.fixed_cidr = "10.20.30.128/25";
  options.default_gateway = "10.20.30.254";
  NetworkTable other(options);
  NetworkState& bridge = other.add(other.plan_default_bridge(&chosen, {}));
  EXPECT_EQ(bridge.bridge, "bryo0");
  EndpointRequest request = request_of("a");
  const Endpoint endpoint = other.reserve(bridge, request);
  EXPECT_EQ(endpoint.ip_address, "10.20.30.128");
  EXPECT_EQ(endpoint.gateway, "10.20.30.254");
  EXPECT_EQ(bridge.bridge_addresses().at(0).str(), "10.20.30.1/24");
  request = request_of("b");
  request.ipv4 = "10.20.30.200";
  EXPECT_EQ(
      refusal([&] { other.reserve(bridge, request); }),
      Refusal(ErrorKind::invalid_argument, "user specified IP address is supported on user defined networks only"));
}

TEST_F(Table, ConfigurationsSurviveTheStore) {
  const NetworkState& red = make("red", [](NetworkCreate& r) {
    r.internal = true;
    r.enable_ipv6 = true;
    r.labels["a"] = "b";
  });
  const json::Value stored = json::parse(json::serialize(json::encode(red.config)));
  const NetworkConfig back = json::decode<NetworkConfig>(stored);
  EXPECT_EQ(json::serialize(json::encode(back)), json::serialize(json::encode(red.config)));
  NetworkTable fresh{NetworkOptions{}};
  EXPECT_EQ(fresh.add(back).gateway4, red.gateway4);
  EXPECT_TRUE(stored.as_object().contains("IPAM"));
}

TEST(PortTable, EveryAddressAndOneAddressExcludeEachOther) {
  PortTable ports(40000, 40010);
  const IpAddress any = IpAddress::parse("0.0.0.0");
  const IpAddress loopback = IpAddress::parse("127.0.0.1");
  PortPublish request;
  request.host_port = ports.claim("probe", {}, {any}).at(0).port;
  ports.release("probe");
  const auto first = ports.claim("a", request, {any});
  EXPECT_THROW(ports.claim("b", request, {any}), Error);
  EXPECT_THROW(ports.claim("b", request, {loopback}), Error);
  request.protocol = Protocol::udp;
  EXPECT_NO_THROW(ports.claim("b", request, {loopback})) << "UDP ports are others";
}

TEST(PortTable, EphemeralPortsGoRound) {
  PortTable ports(40100, 40103);
  const std::vector<IpAddress> any{IpAddress::parse("127.0.0.1")};
  const std::uint16_t first = ports.claim("a", {}, any).at(0).port;
  ports.release("a");
  EXPECT_NE(ports.claim("b", {}, any).at(0).port, first);
  std::vector<ClaimedPort> kept;
  for (int i = 0; i < 3; ++i) kept.push_back(std::move(ports.claim("b", {}, any).at(0)));
  try {
    ports.claim("c", {}, any);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "Bind for 127.0.0.1:40100-40103 failed: all ports are allocated");
  }
}

TEST(PortTable, RangesGiveTheFirstFreePort) {
  PortTable ports(40200, 40201);
  const std::vector<IpAddress> any{IpAddress::parse("127.0.0.1")};
  PortPublish request;
  request.host_port = 40210;
  request.host_port_end = 40212;
  const auto a = ports.claim("a", request, any);
  const auto b = ports.claim("b", request, any);
  EXPECT_EQ(a.at(0).port, 40210);
  EXPECT_EQ(b.at(0).port, 40211);
}

TEST(Ports, ProtocolsAreNamedOrRefused) {
  EXPECT_EQ(parse_protocol("TCP"), Protocol::tcp);
  EXPECT_EQ(parse_protocol("udp"), Protocol::udp);
  EXPECT_THROW(parse_protocol("sctp"), Error);
  EXPECT_THROW(parse_protocol("icmp"), Error);
}

}  // namespace
}  // namespace bryo::network

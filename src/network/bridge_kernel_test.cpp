// Containers on bridges, against the kernel: who reaches whom.
#include "network/lab_test.hpp"

namespace bryo::network::lab {
namespace {

class BridgeLab : public NetworkLab {};

TEST_F(BridgeLab, ContainersOfOneNetworkTalk) {
  start();
  const Container a = make_container("a", {"bridge"});
  const Container b = make_container("b", {"bridge"});
  EXPECT_EQ(a.ip(), "172.17.0.2");
  EXPECT_EQ(b.ip(), "172.17.0.3");
  EXPECT_EQ(a.endpoints[0].mac, "02:42:ac:11:00:02");
  EXPECT_EQ(a.endpoints[0].interface_name, "eth0");
  Server server(a.netns.get(), "0.0.0.0", 80);
  ASSERT_TRUE(dial(b.netns.get(), a.ip(), 80));
  EXPECT_EQ(server.accept_peer(), b.ip());
  ASSERT_TRUE(dial(host(), a.ip(), 80)) << "the host reaches its containers";
  EXPECT_EQ(server.accept_peer(), "172.17.0.1");
}

TEST_F(BridgeLab, TheFirstPacketIsNotLost) {
  start();
  Server server(host(), "0.0.0.0", 80);
  for (int i = 0; i < 20; ++i) {
    const std::string name = "n" + std::to_string(i);
    const NetworkConfig network = make_network(name);
    const Container container = make_container("c", {name});
    EXPECT_TRUE(dial(container.netns.get(), network.ipam.pools.at(0).gateway, 80, kAtOnce))
        << "attach waits for the link";
    manager().release_container(container.id);
    manager().remove(name);
  }
}

TEST_F(BridgeLab, NetworksAreIsolatedFromEachOther) {
  start();
  make_network("red");
  make_network("blue");
  const Container a = make_container("a", {"red"});
  const Container b = make_container("b", {"blue"});
  const Container c = make_container("c", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_FALSE(dial(b.netns.get(), a.ip(), 80, kShort));
  EXPECT_FALSE(dial(c.netns.get(), a.ip(), 80, kShort));
  EXPECT_EQ(server.accept_peer(0), "");
  const Container both = make_container("both", {"red", "blue"});
  EXPECT_TRUE(dial(both.netns.get(), a.ip(), 80));
  Server second(b.netns.get(), "0.0.0.0", 80);
  EXPECT_TRUE(dial(both.netns.get(), b.ip(), 80));
}

TEST_F(BridgeLab, WayOutIsMasqueraded) {
  start();
  const OtherHost lan = plug_in();
  const Container a = make_container("a", {"bridge"});
  Server server(lan.netns.get(), "0.0.0.0", 80);
  ASSERT_TRUE(dial(a.netns.get(), kLanOther, 80));
  EXPECT_EQ(server.accept_peer(), kLanHost);
}

TEST_F(BridgeLab, UnpublishedPortsAreClosedToOtherHosts) {
  start();
  const OtherHost lan = plug_in();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_FALSE(dial(lan.netns.get(), a.ip(), 80, kShort));
  EXPECT_EQ(server.accept_peer(0), "");
}

TEST_F(BridgeLab, InternalNetworkHasNoWayInOrOut) {
  start();
  const OtherHost lan = plug_in();
  make_network("inner", [](NetworkCreate& r) { r.internal = true; });
  const Container a = make_container("a", {"inner"});
  const Container b = make_container("b", {"inner"});
  const Container c = make_container("c", {"bridge"});
  EXPECT_EQ(a.endpoints[0].gateway, "");
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_TRUE(dial(b.netns.get(), a.ip(), 80)) << "inside it works";
  // Even a container that makes itself a default route stays inside.
  in(a.netns.get(), [&] {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::LinkChanges()
        .default_route(kernel::find_link(socket, "eth0")->index, IpAddress::parse("172.18.0.1"))
        .execute(socket, "route");
  });
  ASSERT_EQ(a.ip().substr(0, 7), "172.18.");
  Server outside(lan.netns.get(), "0.0.0.0", 80);
  Server on_host(host(), "0.0.0.0", 81);
  EXPECT_FALSE(dial(a.netns.get(), kLanOther, 80, kShort));
  EXPECT_FALSE(dial(a.netns.get(), kLanHost, 81, kShort)) << "other addresses of the host are outside, too";
  EXPECT_TRUE(dial(a.netns.get(), "172.18.0.1", 81));
  EXPECT_FALSE(dial(c.netns.get(), a.ip(), 80, kShort));
  EXPECT_FALSE(dial(lan.netns.get(), a.ip(), 80, kShort));
}

TEST_F(BridgeLab, WithoutIccContainersReachOnlyPublishedPorts) {
  start();
  make_network("quiet", [](NetworkCreate& r) { r.options[std::string(kOptionIcc)] = "false"; });
  const Container a = make_container("a", {"quiet"});
  const Container b = make_container("b", {"quiet"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_FALSE(dial(b.netns.get(), a.ip(), 80, kShort));
  const PublishResult published = publish(a, 80, 8080);
  ASSERT_TRUE(dial(b.netns.get(), "172.18.0.1", 8080));
  EXPECT_TRUE(readable(published.sockets.at(0).fd.get(), kPatience)) << "by way of the monitor";
}

TEST_F(BridgeLab, SpoofedSourcesDoNotLeaveTheBridge) {
  start();
  const OtherHost lan = plug_in();
  const Container a = make_container("a", {"bridge"});
  in(a.netns.get(), [&] {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::LinkChanges()
        .add_address(kernel::find_link(socket, "eth0")->index, IpPrefix::parse("203.0.113.9/32"))
        .execute(socket, "address");
  });
  const UniqueFd sink = udp_socket(lan.netns.get(), "0.0.0.0", 9);
  const UniqueFd honest = udp_socket(a.netns.get(), a.ip());
  const UniqueFd liar = udp_socket(a.netns.get(), "203.0.113.9");
  send_to(liar.get(), "spoofed", kLanOther, 9);
  send_to(honest.get(), "honest", kLanOther, 9);
  const auto got = receive(sink.get());
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text, "honest");
  EXPECT_FALSE(receive(sink.get(), 0));
}

TEST_F(BridgeLab, CVE_2020_8558_LoopbackIsClosedToNeighbours) {
  const OtherHost lan = plug_in();
  Server server(host(), "127.0.0.1", 99);
  kernel::set_net_sysctl("ipv4/conf/lan0/route_localnet", "1");  // as kube-proxy does
  in(lan.netns.get(), [&] {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    const int eth0 = kernel::find_link(socket, "eth0")->index;
    kernel::set_net_sysctl("ipv4/conf/eth0/route_localnet", "1");
    kernel::LinkChanges()
        .remove_address(1, IpPrefix::parse("127.0.0.1/8"))
        .default_route(eth0, IpAddress::parse(kLanHost))
        .execute(socket, "no loopback of its own");
  });
  ASSERT_TRUE(dial(lan.netns.get(), "127.0.0.1", 99)) << "the attack must work without us, or this test proves nothing";
  ASSERT_EQ(server.accept_peer(), kLanOther);
  start();
  EXPECT_FALSE(dial(lan.netns.get(), "127.0.0.1", 99, kShort));
  EXPECT_EQ(server.accept_peer(0), "");
  EXPECT_TRUE(dial(host(), "127.0.0.1", 99)) << "the host's own loopback goes on";
}

TEST_F(BridgeLab, CVE_2024_32473_Ipv6OffMeansOff) {
  start();
  const Container a = make_container("a", {"bridge"});
  const auto v6_addresses = [] {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    int count = 0;
    for (const auto& address : kernel::list_addresses(socket))
      count += address.address.address().is_v6() && address.index != 1 ? 1 : 0;
    return count;
  };
  EXPECT_EQ(in(a.netns.get(), v6_addresses), 0);
  EXPECT_EQ(kernel::get_net_sysctl("ipv6/conf/bryo0/disable_ipv6"), "1");
  EXPECT_EQ(in(a.netns.get(), [] { return kernel::get_net_sysctl("ipv6/conf/eth0/disable_ipv6"); }), "1");
}

TEST_F(BridgeLab, CVE_2020_13401_RouterAdvertisementsAreIgnored) {
  start();
  make_network("six", [](NetworkCreate& r) { r.enable_ipv6 = true; });
  const Container a = make_container("a", {"six"});
  EXPECT_EQ(in(a.netns.get(), [] { return kernel::get_net_sysctl("ipv6/conf/eth0/accept_ra"); }), "0");
  EXPECT_EQ(kernel::get_net_sysctl("ipv6/conf/" + ("br-" + a.endpoints[0].network_id.substr(0, 12)) + "/accept_ra"),
            "0");
}

TEST_F(BridgeLab, Ipv6NetworksTalkAndMasquerade) {
  start();
  const OtherHost lan = plug_in();
  make_network("six", [](NetworkCreate& r) { r.enable_ipv6 = true; });
  const Container a = make_container("a", {"six"});
  const Container b = make_container("b", {"six"});
  ASSERT_EQ(a.ip6().substr(0, 2), "fd") << "a unique local address";
  Server server(a.netns.get(), "::", 80);
  ASSERT_TRUE(dial(b.netns.get(), a.ip6(), 80)) << "at once: no duplicate address detection";
  EXPECT_EQ(server.accept_peer(), b.ip6());
  Server outside(lan.netns.get(), "::", 80);
  ASSERT_TRUE(dial(a.netns.get(), kLanOther6, 80));
  EXPECT_EQ(outside.accept_peer(), kLanHost6);
  EXPECT_FALSE(dial(lan.netns.get(), a.ip6(), 80, kShort));
}

TEST_F(BridgeLab, LiveConnectAndDisconnect) {
  start();
  make_network("red");
  Container a = make_container("a", {"bridge"});
  const Container b = make_container("b", {"red"});
  Server server(b.netns.get(), "0.0.0.0", 80);
  EndpointRequest request;
  request.container_id = a.id;
  request.container_name = "a";
  Endpoint second = manager().reserve("red", request);
  manager().attach(second, a.netns.get(), 1, false);
  EXPECT_EQ(second.interface_name, "eth1");
  EXPECT_TRUE(dial(a.netns.get(), b.ip(), 80));
  manager().detach(second, a.netns.get());
  manager().release(second);
  EXPECT_FALSE(dial(a.netns.get(), b.ip(), 80, kShort));
  EXPECT_EQ(manager().endpoints("red").size(), 1U);
  manager().detach(a.endpoints[0], a.netns.get());
  manager().release(a.endpoints[0]);
  Endpoint third = manager().reserve("red", request);
  manager().attach(third, a.netns.get(), 0, false);
  const OtherHost lan = plug_in();
  Server outside(lan.netns.get(), "0.0.0.0", 80);
  EXPECT_FALSE(dial(a.netns.get(), kLanOther, 80, kShort));
  manager().set_default_gateway(third, a.netns.get());
  EXPECT_TRUE(dial(a.netns.get(), kLanOther, 80));
}

TEST_F(BridgeLab, NoneNetworkHasLoopbackOnly) {
  start();
  const Container a = make_container("a", {"none"});
  Server server(a.netns.get(), "127.0.0.1", 80);
  EXPECT_TRUE(dial(a.netns.get(), "127.0.0.1", 80));
  EXPECT_EQ(in(a.netns.get(),
               [] {
                 kernel::NetlinkSocket socket(NETLINK_ROUTE);
                 return kernel::list_links(socket, "veth").size();
               }),
            0U);
}

TEST_F(BridgeLab, AttachThatFailsLeavesNothing) {
  start();
  Container a = make_container("a", {"bridge"});
  EndpointRequest request;
  request.container_id = random_hex_id();
  request.container_name = "b";
  Endpoint endpoint = manager().reserve("bridge", request);
  EXPECT_THROW(manager().attach(endpoint, a.netns.get(), 0, true), Error) << "eth0 is taken in there";
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  EXPECT_FALSE(kernel::find_link(socket, endpoint.host_interface));
}

// The kernel takes a namespace apart in its own time; here it never does, because the test holds it.
TEST_F(BridgeLab, AnAddressThatIsGivenOutAgainLeadsToItsNewOwnerOnly) {
  start();
  Container old = make_container("old", {"bridge"});
  const UniqueFd before = udp_socket(old.netns.get(), "0.0.0.0", 80);
  const UniqueFd asker = udp_socket(kernel::open_own_netns().get(), "172.17.0.1");
  ASSERT_TRUE(send_to(asker.get(), "first", old.ip(), 80));
  ASSERT_TRUE(receive(before.get()));
  manager().release_container(old.id);
  const Container heir = make_container("heir", {"bridge"});
  ASSERT_EQ(heir.ip(), old.ip());
  const UniqueFd after = udp_socket(heir.netns.get(), "0.0.0.0", 80);
  ASSERT_TRUE(send_to(asker.get(), "second", heir.ip(), 80));
  EXPECT_TRUE(receive(after.get(), kAtOnce));
  EXPECT_FALSE(receive(before.get(), kShort));
}

TEST_F(BridgeLab, ForwardingThatWeSwitchedOnDoesNotOpenTheHost) {
  kernel::set_net_sysctl("ipv4/ip_forward", "0");
  const OtherHost lan = plug_in();
  const OtherHost wan = plug_in("wan0", "203.0.113.", "2001:db8:200::");
  start();
  EXPECT_EQ(kernel::get_net_sysctl("ipv4/ip_forward"), "1");
  ASSERT_FALSE(manager().warnings().empty());
  Server server(wan.netns.get(), "0.0.0.0", 80);
  EXPECT_FALSE(dial(lan.netns.get(), "203.0.113.2", 80, kShort));
  const Container a = make_container("a", {"bridge"});
  EXPECT_TRUE(dial(a.netns.get(), "203.0.113.2", 80));
  manager().release_container(a.id);
  manager().shutdown();
  EXPECT_EQ(kernel::get_net_sysctl("ipv4/ip_forward"), "0");
}

}  // namespace
}  // namespace bryo::network::lab

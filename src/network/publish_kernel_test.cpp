// Published ports against the kernel: from other hosts, from this one, from containers.
#include "kernel/nftables.hpp"
#include "network/lab_test.hpp"

namespace bryo::network::lab {
namespace {

class PublishLab : public NetworkLab {
 protected:
  void start_six() {
    start();
    make_network("six", [](NetworkCreate& r) { r.enable_ipv6 = true; });
  }
};

TEST_F(PublishLab, OtherHostsReachTcpPortsWithTheirOwnAddress) {
  const OtherHost lan = plug_in();
  start_six();
  const Container a = make_container("a", {"six"});
  Server v4(a.netns.get(), "0.0.0.0", 80);
  Server v6(a.netns.get(), "::", 80);
  const PublishResult published = publish(a, 80, 8080);
  ASSERT_EQ(published.ports.size(), 2U);
  EXPECT_EQ(published.ports[0].host_ip, "0.0.0.0");
  EXPECT_EQ(published.ports[1].host_ip, "::");
  EXPECT_TRUE(published.ports[1].translated);
  ASSERT_TRUE(dial(lan.netns.get(), kLanHost, 8080));
  EXPECT_EQ(v4.accept_peer(), kLanOther);  // CVE-2021-20199: never an address of the host's own
  ASSERT_TRUE(dial(lan.netns.get(), kLanHost6, 8080));
  EXPECT_EQ(v6.accept_peer(), kLanOther6);
  manager().unpublish(a.id);
  EXPECT_FALSE(dial(lan.netns.get(), kLanHost, 8080, kShort) && v4.accept(0));
}

TEST_F(PublishLab, OtherHostsReachUdpPortsWithTheirOwnAddress) {
  const OtherHost lan = plug_in();
  start_six();
  const Container a = make_container("a", {"six"});
  const PublishResult published = publish(a, 53, 5353, Protocol::udp);
  for (const auto& [any, there, here] :
       {std::tuple{"0.0.0.0", kLanHost, kLanOther}, std::tuple{"::", kLanHost6, kLanOther6}}) {
    const UniqueFd server = udp_socket(a.netns.get(), any, 53);
    const UniqueFd client = udp_socket(lan.netns.get(), here);
    send_to(client.get(), "question", there, 5353);
    const auto asked = receive(server.get());
    ASSERT_TRUE(asked) << there;
    EXPECT_EQ(asked->from, here);
    send_to(server.get(), "answer", asked->from, asked->port);
    const auto answered = receive(client.get());
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->from, there);
    EXPECT_EQ(answered->port, 5353);
  }
}

TEST_F(PublishLab, TheHostItselfReachesPortsByItsOwnAddresses) {
  const OtherHost lan = plug_in();
  start();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080);
  EXPECT_TRUE(dial(host(), kLanHost, 8080));
  EXPECT_EQ(server.accept_peer(), kLanHost);
  // Loopback is the monitor's: the connection waits on the socket that it was given.
  EXPECT_TRUE(dial(host(), "127.0.0.1", 8080));
  EXPECT_TRUE(readable(published.sockets.at(0).fd.get(), kPatience));
  EXPECT_TRUE(dial(host(), "::1", 8080));
  EXPECT_TRUE(readable(published.sockets.at(1).fd.get(), kPatience));
  EXPECT_EQ(published.sockets[1].target_ip, a.ip());
}

// With and without br_netfilter, which passes bridged frames through the rules a second time.
class HairpinLab : public PublishLab, public ::testing::WithParamInterface<const char*> {};

TEST_P(HairpinLab, ContainersReachPublishedPortsByTheHostsAddress) {
  if (!kernel::set_net_sysctl("bridge/bridge-nf-call-iptables", GetParam()) && std::string(GetParam()) == "1")
    GTEST_SKIP() << "no br_netfilter here";
  const OtherHost lan = plug_in();
  start();
  make_network("other");
  const Container a = make_container("a", {"bridge"});
  const Container b = make_container("b", {"bridge"});
  const Container c = make_container("c", {"other"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080);
  const auto reach = [&](const Container& from, const std::string& address) {
    const auto client = dial(from.netns.get(), address, 8080);
    if (!client) return std::string("nothing");
    const auto accepted = server.accept();
    if (!accepted) return std::string("somebody else");
    char byte = 'x';
    kernel::send_some(accepted->get(), &byte, 1);
    return readable(client->get(), kPatience) ? peer_of(accepted->get()) : std::string("no way back");
  };
  // With br_netfilter the frame stays on the bridge and keeps its source; else it is routed and must be masqueraded.
  const std::string neighbour = std::string(GetParam()) == "1" ? b.ip() : "172.17.0.1";
  EXPECT_EQ(reach(b, kLanHost), neighbour);
  EXPECT_EQ(reach(b, "172.17.0.1"), neighbour);
  EXPECT_TRUE(dial(a.netns.get(), kLanHost, 8080));
  EXPECT_TRUE(readable(published.sockets.at(0).fd.get(), kPatience)) << "the container itself, by way of its monitor";
  EXPECT_EQ(reach(c, kLanHost), c.ip()) << "a container of another network keeps its address";
}

INSTANTIATE_TEST_SUITE_P(BridgeNetfilter, HairpinLab, ::testing::Values("0", "1"));

TEST_F(PublishLab, WithoutProxyContainersReachThemselvesByTheBridge) {
  kernel::set_net_sysctl("bridge/bridge-nf-call-iptables", "0");
  const OtherHost lan = plug_in();
  NetworkOptions options;
  options.userland_proxy = false;
  start(options);
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080);
  ASSERT_TRUE(dial(a.netns.get(), kLanHost, 8080));
  EXPECT_EQ(server.accept_peer(), "172.17.0.1");
}

TEST_F(PublishLab, OneAddressOnly) {
  const OtherHost lan = plug_in();
  const OtherHost wan = plug_in("wan0", "203.0.113.", "2001:db8:200::");
  start();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080, Protocol::tcp, kLanHost);
  ASSERT_EQ(published.ports.size(), 1U);
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost, 8080));
  EXPECT_FALSE(dial(wan.netns.get(), "203.0.113.1", 8080, kShort));
}

TEST_F(PublishLab, CVE_2025_54388_LoopbackPublicationIsNotReachableFromOutside) {
  const OtherHost lan = plug_in();
  start();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080, Protocol::tcp, "127.0.0.1");
  ASSERT_EQ(published.ports.size(), 1U);
  EXPECT_FALSE(published.ports[0].translated);
  const auto closed = [&] {
    return !dial(lan.netns.get(), kLanHost, 8080, kShort) && !dial(lan.netns.get(), a.ip(), 80, kShort);
  };
  EXPECT_TRUE(closed());
  ASSERT_EQ(std::system("nft flush ruleset"), 0);
  EXPECT_TRUE(closed()) << "a firewall reload opens nothing";
  kernel::NetlinkSocket socket(NETLINK_NETFILTER);
  EXPECT_TRUE(kernel::find_table(socket, kernel::NftFamily::inet, "bryo"));
}

TEST_F(PublishLab, CVE_2025_67499_TransitTrafficIsNotCaptured) {
  const OtherHost lan = plug_in();
  const OtherHost wan = plug_in("wan0", "203.0.113.", "2001:db8:200::");
  kernel::set_net_sysctl("ipv4/ip_forward", "1");
  start();
  const Container a = make_container("a", {"bridge"});
  Server inside(a.netns.get(), "0.0.0.0", 80);
  Server outside(wan.netns.get(), "0.0.0.0", 8080);
  const PublishResult published = publish(a, 80, 8080);
  ASSERT_TRUE(dial(lan.netns.get(), "203.0.113.2", 8080));
  EXPECT_EQ(outside.accept_peer(), kLanOther);
  EXPECT_EQ(inside.accept_peer(0), "");
}

TEST_F(PublishLab, RepublishedUdpPortGetsFlowsThatAreUnderWay) {
  const OtherHost lan = plug_in();
  start();
  const UniqueFd client = udp_socket(lan.netns.get(), kLanOther);
  send_to(client.get(), "too early", kLanHost, 5353);  // tracked as a flow to the host itself
  const auto talk = [&](const Container& container) {
    const UniqueFd server = udp_socket(container.netns.get(), "0.0.0.0", 53);
    for (int i = 0; i < 50;
         ++i) {  // flows are forgotten in the background; the client repeats itself as such clients do
      send_to(client.get(), "again", kLanHost, 5353);
      if (receive(server.get(), 50)) return true;
    }
    return false;
  };
  const Container a = make_container("a", {"bridge"});
  {
    const PublishResult published = publish(a, 53, 5353, Protocol::udp);
    EXPECT_TRUE(talk(a));
  }
  manager().release_container(a.id);
  EndpointRequest blocker;  // takes a's address, so that b has another
  blocker.container_id = random_hex_id();
  manager().reserve("bridge", blocker);
  const Container b = make_container("b", {"bridge"});
  ASSERT_NE(a.ip(), b.ip());
  const PublishResult published = publish(b, 53, 5353, Protocol::udp);
  EXPECT_TRUE(talk(b)) << "the flow that led to the first container";
}

TEST_F(PublishLab, TakenPortsAreRefusedInDockersWords) {
  start();
  const Container a = make_container("a", {"bridge"});
  const Container b = make_container("b", {"bridge"});
  const PublishResult first = publish(a, 80, 5000, Protocol::tcp, "0.0.0.0");
  const auto refusal = [&](std::uint16_t port, const std::string& ip) -> std::string {
    try {
      publish(b, 80, port, Protocol::tcp, ip);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::internal);
      return error.message();
    }
  };
  const std::string prefix =
      "driver failed programming external connectivity on endpoint b (" + b.endpoints[0].endpoint_id + "): ";
  EXPECT_EQ(refusal(5000, "0.0.0.0"), prefix + "Bind for 0.0.0.0:5000 failed: port is already allocated");
  EXPECT_EQ(refusal(5000, "127.0.0.1"), prefix + "Bind for 127.0.0.1:5000 failed: port is already allocated");
  Server outsider(host(), "0.0.0.0", 81);
  EXPECT_EQ(refusal(81, "0.0.0.0"), prefix + "listen tcp4 0.0.0.0:81: bind: address already in use");
  EXPECT_EQ(refusal(82, ""), "") << "what failed has left nothing behind";
}

TEST_F(PublishLab, InternalNetworksPublishNothing) {
  start();
  make_network("inner", [](NetworkCreate& r) { r.internal = true; });
  const Container a = make_container("a", {"inner"});
  EXPECT_TRUE(publish(a, 80, 8080).ports.empty());
}

TEST_F(PublishLab, WithoutFirewallPortsAreProxiedOnly) {
  NetworkOptions options;
  options.firewall = false;
  start(options);
  const Container a = make_container("a", {"bridge"});
  const PublishResult published = publish(a, 80, 8080);
  EXPECT_FALSE(published.ports.at(0).translated);
  kernel::NetlinkSocket socket(NETLINK_NETFILTER);
  EXPECT_FALSE(kernel::find_table(socket, kernel::NftFamily::inet, "bryo"));
}

}  // namespace
}  // namespace bryo::network::lab

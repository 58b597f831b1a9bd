// Published ports of a rootless engine against the kernel: who does the container see?
#include <arpa/inet.h>
#include <poll.h>

#include "engine/outside_lab_test.hpp"
#include "kernel/netlink_conntrack.hpp"

namespace bryo::engine::lab {
namespace {

struct Peer {
  std::string address;
  std::uint16_t port = 0;
  bool operator==(const Peer&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Peer& peer) { return out << peer.address << " " << peer.port; }

UniqueFd tcp_client(int netns, const std::string& from, std::uint16_t from_port, const std::string& to,
                    std::uint16_t port) {
  return in(netns, [&] {
    const bool v6 = from.find(':') != std::string::npos;
    UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto put = [&](const std::string& text, std::uint16_t number, sockaddr_storage& out) -> socklen_t {
      auto* v4_out = reinterpret_cast<sockaddr_in*>(&out);
      auto* v6_out = reinterpret_cast<sockaddr_in6*>(&out);
      out.ss_family = v6 ? AF_INET6 : AF_INET;
      (v6 ? v6_out->sin6_port : v4_out->sin_port) = htons(number);
      if (v6)
        ::inet_pton(AF_INET6, text.c_str(), &v6_out->sin6_addr);
      else
        ::inet_pton(AF_INET, text.c_str(), &v4_out->sin_addr);
      return v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    };
    sockaddr_storage address{};
    socklen_t size = put(from, from_port, address);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0) fail_errno("bind");
    address = {};
    size = put(to, port, address);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0) fail_errno("connect");
    return fd;
  });
}

Peer name_of(int fd, bool peer) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  (peer ? ::getpeername : ::getsockname)(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  if (storage.ss_family == AF_INET6)
    return {IpAddress::from_bytes(kernel::Family::v6, &v6.sin6_addr).str(), ntohs(v6.sin6_port)};
  return {IpAddress::from_bytes(kernel::Family::v4, &v4.sin_addr).str(), ntohs(v4.sin_port)};
}

// Bytes go both ways; who does the server see?
Peer seen_over(const UniqueFd& client, Server& server) {
  const auto accepted = server.accept();
  if (!accepted) return {"nobody came", 0};
  support::write_all(client.get(), "question");
  if (support::read_all(accepted->get(), 8) != "question") return {"no question", 0};
  support::write_all(accepted->get(), "answer");
  if (support::read_all(client.get(), 6) != "answer") return {"no answer", 0};
  return name_of(accepted->get(), true);
}

Peer seen_over_udp(const UniqueFd& client, const UniqueFd& server, const std::string& to, std::uint16_t port) {
  send_to(client.get(), "question", to, port);
  const auto asked = receive(server.get());
  if (!asked) return {"no question", 0};
  send_to(server.get(), "answer", asked->from, asked->port);
  const auto answered = receive(client.get());
  if (!answered) return {"no answer", 0};
  EXPECT_EQ((Peer{answered->from, answered->port}), (Peer{to, port}))
      << "the answer comes from where the question went";
  return {asked->from, asked->port};
}

class OutsidePorts : public OutsideLab {
 protected:
  struct Case {
    const char* any;
    const char* there;
    const char* here;
  };
  static constexpr Case kV4{"0.0.0.0", kLanHost, kLanOther};
  static constexpr Case kV6{"::", kLanHost6, kLanOther6};

  void expect_true_addresses() {
    const OtherHost lan = plug_in_outside();
    start_inside();
    const Container a = make_container("a", {"bridge"});
    const PublishResult tcp = forward(a, 80, 8080);
    const PublishResult udp = forward(a, 53, 5353, Protocol::udp);
    for (const Case& family : {kV4, kV6}) {
      Server server(a.netns.get(), family.any, 80);
      const UniqueFd client = tcp_client(lan.netns.get(), family.here, 40001, family.there, 8080);
      EXPECT_EQ(seen_over(client, server), (Peer{family.here, 40001}));
      const UniqueFd datagrams = udp_socket(a.netns.get(), family.any, 53);
      const UniqueFd sender = udp_socket(lan.netns.get(), family.here, 40002);
      EXPECT_EQ(seen_over_udp(sender, datagrams, family.there, 5353), (Peer{family.here, 40002}));
    }
  }
};

TEST_F(OutsidePorts, ServersSeeTheClientsOwnAddressAndPort) { expect_true_addresses(); }

TEST_F(OutsidePorts, HardenedHostsMakeNoDifference) {
  for (const char* name : {"ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter", "ipv4/conf/all/src_valid_mark",
                           "ipv4/fwmark_reflect", "ipv6/fwmark_reflect"})
    kernel::set_net_sysctl(name, "1");
  expect_true_addresses();
}

TEST_F(OutsidePorts, BridgeNetfilterMakesNoDifference) {
  if (!kernel::set_net_sysctl("bridge/bridge-nf-call-iptables", "1")) GTEST_SKIP() << "no br_netfilter here";
  kernel::set_net_sysctl("bridge/bridge-nf-call-ip6tables", "1");
  expect_true_addresses();
}

TEST_F(OutsidePorts, ClientsOnLoopbackAppearAsTheGateway) {  // CVE-2021-20199
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 8080);
  const PublishResult udp = forward(a, 53, 5353, Protocol::udp);
  for (const auto& [any, loopback, gateway] :
       {std::tuple{"0.0.0.0", "127.0.0.1", kGateway}, std::tuple{"::", "::1", kGateway6}}) {
    Server server(a.netns.get(), any, 80);
    const UniqueFd client = tcp_client(host(), loopback, 40001, loopback, 8080);
    EXPECT_EQ(seen_over(client, server).address, gateway);
    const UniqueFd datagrams = udp_socket(a.netns.get(), any, 53);
    const UniqueFd sender = udp_socket(host(), loopback, 40002);
    EXPECT_EQ(seen_over_udp(sender, datagrams, loopback, 5353).address, gateway);
  }
}

TEST_F(OutsidePorts, TheHostsOwnAddressIsSeen) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 8080);
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_EQ(seen_over(tcp_client(host(), kLanHost, 40001, kLanHost, 8080), server), (Peer{kLanHost, 40001}));
}

TEST_F(OutsidePorts, ClientsWithAnAddressOfAContainerNetworkAppearAsTheGateway) {
  start_inside();
  make_network("other", [](NetworkCreate& r) { r.ipam.pools = {{"172.30.0.0/16", "", "", {}}}; });
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 8080);
  const PublishResult udp = forward(a, 53, 5353, Protocol::udp);
  Server server(a.netns.get(), "0.0.0.0", 80);
  const UniqueFd datagrams = udp_socket(a.netns.get(), "0.0.0.0", 53);
  unsigned number = 0;
  for (const std::string network : {"172.17.9.", "172.30.9."}) {
    const OtherHost lan = plug_in_outside("lan" + std::to_string(++number), network, "2001:db8:200::");
    const UniqueFd client = tcp_client(lan.netns.get(), network + "2", 40001, network + "1", 8080);
    EXPECT_EQ(seen_over(client, server).address, kGateway) << network;
    const UniqueFd sender = udp_socket(lan.netns.get(), network + "2", 40002);
    EXPECT_EQ(seen_over_udp(sender, datagrams, network + "1", 5353).address, kGateway) << network;
  }
}

TEST_F(OutsidePorts, ClientsWithAnAddressOfOurOwnNamespaceAppearAsTheGateway) {
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  const int tap = kernel::find_link(socket, "tap0")->index;
  kernel::LinkChanges().add_address(tap, IpPrefix::parse("198.51.100.2/32")).execute(socket, "as pasta does");
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 8080);
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_EQ(seen_over(tcp_client(lan.netns.get(), kLanOther, 40001, kLanHost, 8080), server).address, kGateway);
}

TEST_F(OutsidePorts, TheOtherFamilyAppearsAsTheGateway) {
  const OtherHost lan = plug_in_outside();
  start_inside([](NetworkOptions& options) {
    options.ipv6 = false;
    options.fixed_cidr_v6 = "";
  });
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 8080);
  const PublishResult udp = forward(a, 53, 5353, Protocol::udp);
  Server server(a.netns.get(), "0.0.0.0", 80);
  EXPECT_EQ(seen_over(tcp_client(lan.netns.get(), kLanOther6, 40001, kLanHost6, 8080), server).address, kGateway);
  const UniqueFd datagrams = udp_socket(a.netns.get(), "0.0.0.0", 53);
  const UniqueFd sender = udp_socket(lan.netns.get(), kLanOther6, 40002);
  EXPECT_EQ(seen_over_udp(sender, datagrams, kLanHost6, 5353).address, kGateway);
}

TEST_F(OutsidePorts, TheSamePortOfAClientAtSeveralPublishedPorts) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult first = forward(a, 80, 8080);
  const PublishResult second = forward(a, 81, 8081);
  const PublishResult again = forward(a, 80, 8082);
  Server eighty(a.netns.get(), "0.0.0.0", 80);
  Server other(a.netns.get(), "0.0.0.0", 81);
  const UniqueFd one = tcp_client(lan.netns.get(), kLanOther, 40001, kLanHost, 8080);
  EXPECT_EQ(seen_over(one, eighty), (Peer{kLanOther, 40001}));
  const UniqueFd two = tcp_client(lan.netns.get(), kLanOther, 40001, kLanHost, 8081);
  EXPECT_EQ(seen_over(two, other), (Peer{kLanOther, 40001})) << "another port of the container: no clash";
  const UniqueFd three = tcp_client(lan.netns.get(), kLanOther, 40001, kLanHost, 8082);
  const Peer seen = seen_over(three, eighty);
  EXPECT_EQ(seen.address, kLanOther) << "the same port of the container";
  EXPECT_NE(seen.port, 40001);
}

TEST_F(OutsidePorts, TheSamePortOfASenderAtSeveralPublishedPorts) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult first = forward(a, 53, 5353, Protocol::udp);
  const PublishResult second = forward(a, 54, 5354, Protocol::udp);
  const PublishResult again = forward(a, 53, 5355, Protocol::udp);
  const UniqueFd server = udp_socket(a.netns.get(), "0.0.0.0", 53);
  const UniqueFd other = udp_socket(a.netns.get(), "0.0.0.0", 54);
  const UniqueFd sender = udp_socket(lan.netns.get(), kLanOther, 40002);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(seen_over_udp(sender, server, kLanHost, 5353), (Peer{kLanOther, 40002}));
    EXPECT_EQ(seen_over_udp(sender, other, kLanHost, 5354), (Peer{kLanOther, 40002}));
    const Peer seen = seen_over_udp(sender, server, kLanHost, 5355);
    EXPECT_EQ(seen.address, kLanOther);
    EXPECT_NE(seen.port, 40002);
  }
}

TEST_F(OutsidePorts, LateAnswersFindTheirWayWithoutConnectionTracking) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult udp = forward(a, 53, 5353, Protocol::udp);
  const UniqueFd server = udp_socket(a.netns.get(), "0.0.0.0", 53);
  const UniqueFd sender = udp_socket(lan.netns.get(), kLanOther, 40002);
  send_to(sender.get(), "question", kLanHost, 5353);
  const auto asked = receive(server.get());
  ASSERT_TRUE(asked);
  kernel::NetlinkSocket socket(NETLINK_NETFILTER);
  EXPECT_GT(kernel::delete_flows(socket, [](const kernel::Flow&) { return true; }), 0U);
  send_to(server.get(), "answer", asked->from, asked->port);
  EXPECT_TRUE(receive(sender.get()));
}

TEST_F(OutsidePorts, ContainersReachPublishedPortsByAddressesOfOurNamespace) {
  start_inside();
  make_network("other");
  make_network("closed", [](NetworkCreate& r) { r.options[std::string(network::kOptionIcc)] = "false"; });
  const Container a = make_container("a", {"bridge"});
  const Container b = make_container("b", {"bridge"});
  const Container c = make_container("c", {"other"});
  const Container d = make_container("d", {"closed"});
  const PublishResult tcp = forward(a, 80, 8080);
  Server server(a.netns.get(), "0.0.0.0", 80);
  for (const Container* from : {&a, &b, &c, &d}) {
    for (const char* address : {kGateway, kUplink}) {
      const auto client = dial(from->netns.get(), address, 8080);
      ASSERT_TRUE(client) << from->name << " to " << address;
      EXPECT_NE(seen_over(*client, server).port, 0) << from->name << " to " << address;
    }
  }
}

TEST_F(OutsidePorts, PortsAreAddedAndRemovedWhileTheContainerRuns) {
  const OtherHost lan = plug_in_outside();
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult first = forward(a, 80, 8080);
  const PublishResult second = forward(a, 80, 8081);
  Server server(a.netns.get(), "0.0.0.0", 80);
  const UniqueFd client = tcp_client(lan.netns.get(), kLanOther, 40001, kLanHost, 8081);
  const auto accepted = server.accept();
  ASSERT_TRUE(accepted);
  monitor().remove_ports(
      {{monitor::ForwardProtocol::tcp, "0.0.0.0", 8081}, {monitor::ForwardProtocol::tcp, "::", 8081}});
  manager().unpublish(a.id, second.ports);
  EXPECT_FALSE(dial(lan.netns.get(), kLanHost, 8081, kShort));
  EXPECT_FALSE(dial(lan.netns.get(), kLanHost6, 8081, kShort));
  EXPECT_FALSE(dial(a.netns.get(), kGateway, 8081, kShort));
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost, 8080)) << "the other port stays";
  support::write_all(client.get(), "alive");
  EXPECT_EQ(support::read_all(accepted->get(), 5), "alive");
  EXPECT_EQ(forward(a, 80, 8081).ports.size(), 2U) << "the port is free again";
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost6, 8081));
}

}  // namespace
}  // namespace bryo::engine::lab

// Published ports of a rootless engine against the kernel: who does the container see?
#include <arpa/inet.h>
#include <linux/capability.h>
#include <sys/syscall.h>

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

TEST_F(OutsidePorts, ClientsOfOneLinkOnlyAppearAsTheGateway) {
  const OtherHost lan = plug_in_outside();
  // Of our own making: those that the kernel makes must first be proved unique.
  const auto add_address = [](int netns, const std::string& interface, const std::string& address) {
    return in(netns, [&] {
      kernel::NetlinkSocket socket(NETLINK_ROUTE);
      const int index = kernel::find_link(socket, interface)->index;
      kernel::LinkChanges().add_address(index, IpPrefix::parse(address)).execute(socket, "link-local address");
      return index;
    });
  };
  add_address(host(), "lan0", "fe80::9:1/64");
  const int eth0 = add_address(lan.netns.get(), "eth0", "fe80::9:2/64");
  start_inside();
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 8080);
  Server server(a.netns.get(), "::", 80);
  sockaddr_in6 there{};
  there.sin6_family = AF_INET6;
  there.sin6_port = htons(8080);
  ASSERT_EQ(::inet_pton(AF_INET6, "fe80::9:1", &there.sin6_addr), 1);
  there.sin6_scope_id = static_cast<std::uint32_t>(eth0);
  const UniqueFd client =
      in(lan.netns.get(), [] { return UniqueFd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&there), sizeof there), 0) << std::strerror(errno);
  EXPECT_EQ(seen_over(client, server).address, kGateway6);
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
  const Container b = make_container("b", {"bridge"});
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
  EXPECT_FALSE(dial(b.netns.get(), kGateway, 8081, kShort));
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost, 8080)) << "the other port stays";
  support::write_all(client.get(), "alive");
  EXPECT_EQ(support::read_all(accepted->get(), 5), "alive");
  EXPECT_EQ(forward(a, 80, 8081).ports.size(), 2U) << "the port is free again";
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost6, 8081));
}

// The engine may not bind ports of the system; somebody who may has handed it sockets (LISTEN_FDS).
class InheritedPorts : public OutsidePorts {
 protected:
  void SetUp() override {
    OutsidePorts::SetUp();
    if (IsSkipped()) return;
    outside_->run([] {
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct sets[2]{};
      ASSERT_EQ(::syscall(SYS_capget, &header, sets), 0);
      sets[0].effective &= ~(1U << CAP_NET_BIND_SERVICE);
      ASSERT_EQ(::syscall(SYS_capset, &header, sets), 0);
    });
  }

  // As systemd does by default: [::] takes both families.
  void hand_over(const std::string& address, std::uint16_t port, Protocol protocol) {
    UniqueFd socket = in(host(), [&] {
      if (address != "::")
        return protocol == Protocol::udp ? kernel::bind_udp(IpAddress::parse(address), port)
                                         : kernel::listen_tcp(IpAddress::parse(address), port);
      UniqueFd fd(::socket(AF_INET6, (protocol == Protocol::udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
      sockaddr_in6 any{};
      any.sin6_family = AF_INET6;
      any.sin6_port = htons(port);
      if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) < 0) fail_errno("bind");
      if (protocol == Protocol::tcp && ::listen(fd.get(), 16) < 0) fail_errno("listen");
      return fd;
    });
    inherited_.push_back(std::make_shared<network::InheritedPort>(network::InheritedPort::inspect(std::move(socket))));
  }

  void start_with_inherited() {
    start_inside([&](NetworkOptions& options) { options.inherited = inherited_; });
  }

  std::string refusal(const Container& container, std::uint16_t port, Protocol protocol = Protocol::tcp,
                      const std::string& host_ip = "") {
    try {
      publish(container, 80, port, protocol, host_ip);
      return "";
    } catch (const Error& error) {
      return error.message();
    }
  }

  std::vector<std::shared_ptr<const network::InheritedPort>> inherited_;
};

TEST_F(InheritedPorts, WithoutThemTheRefusalSaysWhatToDo) {
  start_with_inherited();
  const Container a = make_container("a", {"bridge"});
  const std::string tcp = refusal(a, 80);
  EXPECT_NE(tcp.find("listen tcp4 0.0.0.0:80: bind: permission denied"), std::string::npos) << tcp;
  EXPECT_NE(tcp.find("sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80"), std::string::npos) << tcp;
  EXPECT_NE(tcp.find("ListenStream=80"), std::string::npos) << tcp;
  EXPECT_NE(tcp.find("a port from 1024 on"), std::string::npos) << tcp;
  EXPECT_NE(refusal(a, 53, Protocol::udp).find("ListenDatagram=53"), std::string::npos);
  EXPECT_EQ(refusal(a, 8080), "");
  in(host(), [] { kernel::set_net_sysctl("ipv4/ip_unprivileged_port_start", "80"); });
  EXPECT_EQ(refusal(a, 80), "") << "after the command";
}

TEST_F(InheritedPorts, OneOfBothFamiliesServesBothWithTrueAddresses) {
  const OtherHost lan = plug_in_outside();
  hand_over("::", 80, Protocol::tcp);
  hand_over("::", 53, Protocol::udp);
  start_with_inherited();
  const Container a = make_container("a", {"bridge"});
  const PublishResult tcp = forward(a, 80, 80);
  ASSERT_EQ(tcp.ports.size(), 2U);
  EXPECT_EQ(tcp.ports[0].host_ip, "0.0.0.0");
  const PublishResult udp = forward(a, 53, 53, Protocol::udp);
  for (const Case& family : {kV4, kV6}) {
    Server server(a.netns.get(), family.any, 80);
    const UniqueFd client = tcp_client(lan.netns.get(), family.here, 40001, family.there, 80);
    EXPECT_EQ(seen_over(client, server), (Peer{family.here, 40001}));
    const UniqueFd datagrams = udp_socket(a.netns.get(), family.any, 53);
    const UniqueFd sender = udp_socket(lan.netns.get(), family.here, 40002);
    EXPECT_EQ(seen_over_udp(sender, datagrams, family.there, 53), (Peer{family.here, 40002}));
  }
  EXPECT_NE(refusal(a, 80, Protocol::tcp, "0.0.0.0"), "") << "it is the container's already";
}

TEST_F(InheritedPorts, OfOneAddressServesThatAddressOnly) {
  const OtherHost lan = plug_in_outside();
  hand_over(kLanHost, 80, Protocol::tcp);
  start_with_inherited();
  const Container a = make_container("a", {"bridge"});
  EXPECT_NE(refusal(a, 80), "") << "every address is more than was handed over";
  const PublishResult tcp = forward(a, 80, 80, Protocol::tcp, kLanHost);
  Server server(a.netns.get(), "0.0.0.0", 80);
  const UniqueFd client = tcp_client(lan.netns.get(), kLanOther, 40001, kLanHost, 80);
  EXPECT_EQ(seen_over(client, server), (Peer{kLanOther, 40001}));
}

TEST_F(InheritedPorts, BothFamiliesAreNotGivenToWhoAsksForOne) {
  hand_over("::", 80, Protocol::tcp);
  start_with_inherited();
  const Container a = make_container("a", {"bridge"});
  EXPECT_NE(refusal(a, 80, Protocol::tcp, "0.0.0.0"), "");
  EXPECT_NE(refusal(a, 80, Protocol::tcp, "::"), "");
}

TEST_F(InheritedPorts, ComeBackWhenTheContainerDoes) {
  const OtherHost lan = plug_in_outside();
  hand_over("0.0.0.0", 80, Protocol::tcp);
  start_with_inherited();
  for (int life = 0; life < 2; ++life) {
    const Container a = make_container("a", {"bridge"});
    const PublishResult tcp = forward(a, 80, 80, Protocol::tcp, "0.0.0.0");
    Server server(a.netns.get(), "0.0.0.0", 80);
    const UniqueFd client =
        tcp_client(lan.netns.get(), kLanOther, static_cast<std::uint16_t>(40001 + life), kLanHost, 80);
    EXPECT_EQ(seen_over(client, server).address, kLanOther);
    monitor().remove_ports({{monitor::ForwardProtocol::tcp, "0.0.0.0", 80}});
    manager().release_container(a.id);
  }
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost, 80)) << "who comes meanwhile waits";
}

}  // namespace
}  // namespace bryo::engine::lab

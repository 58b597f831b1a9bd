// Published ports, through a real monitor process: everything on loopback.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include <cstring>
#include <thread>

#include "monitor/forward.hpp"
#include "monitor/forward_sockets.hpp"
#include "monitor/hub.hpp"
#include "monitor/test_support.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;

struct Bound {
  UniqueFd socket;
  std::uint16_t port = 0;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Bound bind_v4(int type) {
  Bound bound{UniqueFd(::socket(AF_INET, type | SOCK_CLOEXEC, 0))};
  auto address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(bound.socket.get(), reinterpret_cast<sockaddr*>(&address), size) < 0) fail_errno("bind");
  ::getsockname(bound.socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  bound.port = ntohs(address.sin_port);
  if (type == SOCK_STREAM) ::listen(bound.socket.get(), 128);
  return bound;
}

Bound bind_v6(int type) {
  Bound bound{UniqueFd(::socket(AF_INET6, type | SOCK_CLOEXEC, 0))};
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_any;
  socklen_t size = sizeof address;
  if (!bound.socket || ::bind(bound.socket.get(), reinterpret_cast<sockaddr*>(&address), size) < 0) return {};
  ::getsockname(bound.socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  bound.port = ntohs(address.sin6_port);
  if (type == SOCK_STREAM) ::listen(bound.socket.get(), 128);
  return bound;
}

UniqueFd connect_v4(int type, std::uint16_t port) {
  UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const auto address = loopback(port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) socket.reset();
  return socket;
}

UniqueFd connect_v6(int type, std::uint16_t port) {
  UniqueFd socket(::socket(AF_INET6, type | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) socket.reset();
  return socket;
}

class ForwardTest : public testing::Test {
 protected:
  void SetUp() override {
    StartRequest request;
    request.container_id = "c1";
    request.runtime_directory = scratch_.path();
    request.plan = plain_plan({"sleep", "1000"});
    monitor_ = hub_.spawn(std::move(request));
    monitor_->start();
  }
  void TearDown() override {
    monitor_->signal(SIGKILL);
    ASSERT_TRUE(listener_.wait_exit("c1").has_value());
    monitor_->close();
  }
  void forward(ForwardProtocol protocol, UniqueFd socket, std::uint16_t target) {
    std::vector<PortForward> ports;
    ports.push_back({protocol, std::move(socket), "127.0.0.1", target});
    monitor_->set_ports(std::move(ports));
  }

  ScratchDirectory scratch_;
  RecordingListener listener_;
  MonitorHub hub_{MonitorProgram(beside_this_program("plain-monitor")), listener_};
  std::shared_ptr<Monitor> monitor_;
};

TEST(ForwardTarget, TakesOnlyAddresses) {
  EXPECT_EQ(ForwardTarget::parse("10.0.0.1", 80).family(), AF_INET);
  EXPECT_EQ(ForwardTarget::parse("fd00::2", 80).family(), AF_INET6);
  for (const char* text : {"", "localhost", "[::1]", "10.0.0.1:80", "300.0.0.1"})
    EXPECT_THROW(ForwardTarget::parse(text, 80), Error) << text;
}

// A rootless engine's forwards: the client of the host's loopback gets another face inside.
TEST(ForwardSockets, StandInIsTheSourceWhereTheClientsAddressCannotBeHad) {
  const Bound target = bind_v4(SOCK_STREAM);
  PortForward forward;
  forward.target_address = "127.0.0.1";
  forward.target_port = target.port;
  forward.transparent = true;
  forward.stand_in_source = "127.0.0.2";
  sockaddr_storage client{};
  const sockaddr_in from = loopback(1234);
  std::memcpy(&client, &from, sizeof from);
  const UniqueFd made = ForwardSockets().connect(SOCK_STREAM, ForwardTargets::parse(forward), client);
  ASSERT_TRUE(made);
  sockaddr_in seen{};
  socklen_t size = sizeof seen;
  const UniqueFd accepted(::accept(target.socket.get(), reinterpret_cast<sockaddr*>(&seen), &size));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(ntohl(seen.sin_addr.s_addr), INADDR_LOOPBACK + 1);
}

// A host whose default is BBR paces every socket: a published port was half as fast.
TEST(ForwardSockets, StreamToAContainerIsNotPaced) {
  const Bound server = bind_v4(SOCK_STREAM);
  sockaddr_storage client{};
  client.ss_family = AF_INET;
  PortForward forward;
  forward.target_address = "127.0.0.1";
  forward.target_port = server.port;
  const UniqueFd made = ForwardSockets().connect(SOCK_STREAM, ForwardTargets::parse(forward), client);
  ASSERT_TRUE(made);
  char name[16] = {};
  socklen_t size = sizeof name;
  ASSERT_EQ(::getsockopt(made.get(), IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
  EXPECT_STREQ(name, "reno");
}

TEST_F(ForwardTest, TcpPassesBytesBothWaysWithHalfClose) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound published = bind_v4(SOCK_STREAM);
  forward(ForwardProtocol::tcp, std::move(published.socket), target.port);
  const std::string request(5'000'000, 'q');
  const std::string answer(7'000'000, 'a');
  std::thread server([&] {
    const UniqueFd peer(::accept4(target.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(read_all(peer.get()) == request);  // ends with the client's half-close
    write_all(peer.get(), answer);
  });
  const UniqueFd client = connect_v4(SOCK_STREAM, published.port);
  ASSERT_TRUE(client);
  write_all(client.get(), request);
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_TRUE(read_all(client.get()) == answer);
  server.join();
}

TEST_F(ForwardTest, ServerThatClosesFirstEndsTheClientsInput) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound published = bind_v4(SOCK_STREAM);
  forward(ForwardProtocol::tcp, std::move(published.socket), target.port);
  const UniqueFd client = connect_v4(SOCK_STREAM, published.port);
  UniqueFd peer(::accept4(target.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  write_all(peer.get(), "banner");
  ::shutdown(peer.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), "banner");
  write_all(client.get(), "still heard");
  EXPECT_EQ(read_all(peer.get(), 11), "still heard");
}

TEST_F(ForwardTest, RefusedTargetClosesTheClient) {
  Bound target = bind_v4(SOCK_STREAM);
  const std::uint16_t nobody = target.port;
  target.socket.reset();
  Bound published = bind_v4(SOCK_STREAM);
  forward(ForwardProtocol::tcp, std::move(published.socket), nobody);
  const UniqueFd client = connect_v4(SOCK_STREAM, published.port);
  ASSERT_TRUE(client);
  EXPECT_EQ(read_all(client.get()), "");
}

TEST_F(ForwardTest, V6ListenerReachesAV4Target) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound published = bind_v6(SOCK_STREAM);
  if (!published.socket) GTEST_SKIP() << "no IPv6 here";
  forward(ForwardProtocol::tcp, std::move(published.socket), target.port);
  const UniqueFd client = connect_v6(SOCK_STREAM, published.port);
  if (!client) GTEST_SKIP() << "no ::1 here";
  const UniqueFd peer(::accept4(target.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  write_all(client.get(), "six");
  EXPECT_EQ(read_all(peer.get(), 3), "six");
}

TEST_F(ForwardTest, ManyConnectionsAtOnce) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound published = bind_v4(SOCK_STREAM);
  forward(ForwardProtocol::tcp, std::move(published.socket), target.port);
  std::vector<UniqueFd> clients;
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connect_v4(SOCK_STREAM, published.port));
    ASSERT_TRUE(clients.back());
    write_all(clients.back().get(), std::to_string(1000 + i));
    peers.emplace_back(::accept4(target.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_EQ(read_all(peers.back().get(), 4), std::to_string(1000 + i));
  }
  for (std::size_t i = 0; i < peers.size(); ++i) {
    write_all(peers[i].get(), std::to_string(2000 + i));
    EXPECT_EQ(read_all(clients[i].get(), 4), std::to_string(2000 + i));
  }
}

TEST_F(ForwardTest, SetPortsReplacesListenersAndKeepsConnections) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound first = bind_v4(SOCK_STREAM);
  forward(ForwardProtocol::tcp, std::move(first.socket), target.port);
  const UniqueFd old_client = connect_v4(SOCK_STREAM, first.port);
  const UniqueFd old_peer(::accept4(target.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  Bound second = bind_v4(SOCK_STREAM);
  forward(ForwardProtocol::tcp, std::move(second.socket), target.port);
  EXPECT_FALSE(connect_v4(SOCK_STREAM, first.port));
  EXPECT_TRUE(connect_v4(SOCK_STREAM, second.port));
  write_all(old_client.get(), "alive");
  EXPECT_EQ(read_all(old_peer.get(), 5), "alive");
}

TEST_F(ForwardTest, KeepPortsClosesAllOthers) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound first = bind_v4(SOCK_STREAM);
  Bound second = bind_v4(SOCK_STREAM);
  std::vector<PortForward> ports;
  for (Bound* bound : {&first, &second})
    ports.push_back({ForwardProtocol::tcp, std::move(bound->socket), "127.0.0.1", target.port});
  monitor_->add_ports(std::move(ports));
  monitor_->keep_ports(
      {{ForwardProtocol::tcp, "127.0.0.1", second.port}, {ForwardProtocol::udp, "127.0.0.1", first.port}});
  EXPECT_FALSE(connect_v4(SOCK_STREAM, first.port));
  EXPECT_TRUE(connect_v4(SOCK_STREAM, second.port));
}

TEST_F(ForwardTest, PortsAreFreeWhenTheExitIsReported) {
  Bound target = bind_v4(SOCK_STREAM);
  Bound published = bind_v4(SOCK_STREAM);
  const std::uint16_t port = published.port;
  forward(ForwardProtocol::tcp, std::move(published.socket), target.port);
  ASSERT_TRUE(connect_v4(SOCK_STREAM, port));
  monitor_->signal(SIGKILL);
  ASSERT_TRUE(listener_.wait_exit("c1").has_value());
  EXPECT_FALSE(connect_v4(SOCK_STREAM, port));
  monitor_->close();
  StartRequest again;
  again.container_id = "c1";
  again.runtime_directory = scratch_.path();
  again.plan = plain_plan({"sleep", "1000"});
  monitor_ = hub_.spawn(std::move(again));
  monitor_->start();
}

TEST_F(ForwardTest, MoreSocketsThanOneMessageCarries) {
  Bound target = bind_v4(SOCK_STREAM);
  std::vector<PortForward> ports;
  std::vector<std::uint16_t> numbers;
  for (int i = 0; i < 150; ++i) {
    Bound published = bind_v4(SOCK_STREAM);
    numbers.push_back(published.port);
    ports.push_back({ForwardProtocol::tcp, std::move(published.socket), "127.0.0.1", target.port});
  }
  monitor_->set_ports(std::move(ports));
  for (const std::uint16_t port : {numbers.front(), numbers[63], numbers[64], numbers.back()}) {
    const UniqueFd client = connect_v4(SOCK_STREAM, port);
    const UniqueFd peer(::accept4(target.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    write_all(client.get(), "x");
    EXPECT_EQ(read_all(peer.get(), 1), "x");
  }
}

TEST_F(ForwardTest, UdpAnswersEachSender) {
  Bound target = bind_v4(SOCK_DGRAM);
  Bound published = bind_v4(SOCK_DGRAM);
  forward(ForwardProtocol::udp, std::move(published.socket), target.port);
  std::thread server([&] {
    for (int i = 0; i < 30; ++i) {
      char text[64];
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const ssize_t got =
          ::recvfrom(target.socket.get(), text, sizeof text, 0, reinterpret_cast<sockaddr*>(&from), &size);
      ASSERT_GT(got, 0);
      ::sendto(target.socket.get(), text, static_cast<std::size_t>(got), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  });
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connect_v4(SOCK_DGRAM, published.port));
  for (int round = 0; round < 3; ++round)
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::string text = std::to_string(round * 100 + static_cast<int>(i) + 1000);
      ASSERT_EQ(::send(clients[i].get(), text.data(), text.size(), 0), 4);
      EXPECT_EQ(read_all(clients[i].get(), 4), text);
    }
  server.join();
}

TEST_F(ForwardTest, UdpOverV6ReachesAV4Target) {
  Bound target = bind_v4(SOCK_DGRAM);
  Bound published = bind_v6(SOCK_DGRAM);
  if (!published.socket) GTEST_SKIP() << "no IPv6 here";
  forward(ForwardProtocol::udp, std::move(published.socket), target.port);
  for (const UniqueFd& client : {connect_v6(SOCK_DGRAM, published.port), connect_v4(SOCK_DGRAM, published.port)}) {
    if (!client) continue;
    if (::send(client.get(), "ping", 4, 0) != 4) continue;
    char text[16];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    ASSERT_EQ(::recvfrom(target.socket.get(), text, sizeof text, 0, reinterpret_cast<sockaddr*>(&from), &size), 4);
    ::sendto(target.socket.get(), "pong", 4, 0, reinterpret_cast<sockaddr*>(&from), size);
    EXPECT_EQ(read_all(client.get(), 4), "pong");
  }
}

}  // namespace
}  // namespace bryo::monitor

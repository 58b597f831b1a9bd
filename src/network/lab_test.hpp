// For tests against the kernel: a private "host" (network namespace of the test itself), containers, and other hosts on
// a cable. Needs root; nothing leaves the test process.
#pragma once

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"
#include "kernel/sockets.hpp"
#include "network/manager.hpp"

namespace bryo::network::lab {

using kernel::IpAddress;
using kernel::IpPrefix;

inline constexpr int kPatience = 3000;  // ms, for what must happen
inline constexpr int kShort = 300;      // ms, for what must not
inline constexpr int kAtOnce = 900;     // ms, less than it takes to repeat a packet that was lost

class Memory final : public Persistence {
 public:
  void put(std::string_view key, const json::Value& document) override { documents[std::string(key)] = document; }
  void erase(std::string_view key) override { documents.erase(std::string(key)); }
  std::vector<std::pair<std::string, json::Value>> list() override { return {documents.begin(), documents.end()}; }
  std::map<std::string, json::Value> documents;
};

template <typename Work>
auto in(int netns, Work work) {
  const kernel::NetnsVisit visit(netns);
  return work();
}

inline bool readable(int fd, int milliseconds) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) == 1;
}

// A connected TCP socket, nullopt when nobody answers in time.
inline std::optional<UniqueFd> dial(int netns, const std::string& address, std::uint16_t port,
                                    int milliseconds = kPatience) {
  try {
    UniqueFd fd = in(netns, [&] { return kernel::start_connect_tcp(IpAddress::parse(address), port); });
    pollfd wait{fd.get(), POLLOUT, 0};
    if (::poll(&wait, 1, milliseconds) != 1) return std::nullopt;
    kernel::finish_connect(fd.get());
    return fd;
  } catch (const Error&) {
    return std::nullopt;
  }
}

inline std::string peer_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage, sizeof(v6));
    return IpAddress::from_bytes(kernel::Family::v6, &v6.sin6_addr).str();
  }
  sockaddr_in v4;
  std::memcpy(&v4, &storage, sizeof(v4));
  return IpAddress::from_bytes(kernel::Family::v4, &v4.sin_addr).str();
}

// A TCP server in a namespace that tells who has connected.
class Server {
 public:
  Server(int netns, const std::string& address, std::uint16_t port)
      : listener_(in(netns, [&] { return kernel::listen_tcp(IpAddress::parse(address), port); })) {}
  std::optional<UniqueFd> accept(int milliseconds = kPatience) {
    if (!readable(listener_.get(), milliseconds)) return std::nullopt;
    return kernel::accept_tcp(listener_.get());
  }
  // "" when nobody came.
  std::string accept_peer(int milliseconds = kPatience) {
    const auto fd = accept(milliseconds);
    return fd ? peer_of(fd->get()) : std::string();
  }

 private:
  UniqueFd listener_;
};

struct Received {
  std::string text;
  std::string from;
  std::uint16_t port = 0;
};

inline std::optional<Received> receive(int fd, int milliseconds = kPatience) {
  if (!readable(fd, milliseconds)) return std::nullopt;
  char buffer[2048];
  const auto got = kernel::receive_datagram(fd, buffer, sizeof(buffer));
  if (!got) return std::nullopt;
  return Received{std::string(buffer, got->size), got->from.str(), got->port};
}

inline bool send_to(int fd, const std::string& text, const std::string& address, std::uint16_t port) {
  return kernel::send_datagram(fd, text.data(), text.size(), IpAddress::parse(address), port);
}

inline UniqueFd udp_socket(int netns, const std::string& address, std::uint16_t port = 0) {
  return in(netns, [&] { return kernel::bind_udp(IpAddress::parse(address), port); });
}

// One container: a namespace and what the manager has made in it.
struct Container {
  std::string id = random_hex_id();
  std::string name;
  UniqueFd netns = kernel::make_netns();
  std::vector<Endpoint> endpoints;
  const std::string& ip() const { return endpoints.at(0).ip_address; }
  const std::string& ip6() const { return endpoints.at(0).ipv6_address; }
};

// Another host, at the end of a cable to ours.
struct OtherHost {
  UniqueFd netns = kernel::make_netns();
};

class NetworkLab : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces";
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "cannot make network namespaces: " << std::strerror(errno);
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::LinkChanges().up(1).execute(socket, "loopback");
    host_ = kernel::open_own_netns();
  }

  void TearDown() override { manager_.reset(); }

  void start(NetworkOptions options = {}, std::vector<RunningContainer> running = {}) {
    options_ = std::move(options);
    manager_ = std::make_unique<NetworkManager>(options_, memory_);
    manager_->restore(std::move(running));
  }

  NetworkManager& manager() { return *manager_; }
  int host() const { return host_.get(); }

  NetworkConfig make_network(const std::string& name, std::function<void(NetworkCreate&)> change = {}) {
    NetworkCreate request;
    request.name = name;
    if (change) change(request);
    return manager().create(request).config;
  }

  Container make_container(const std::string& name, const std::vector<std::string>& networks,
                           std::function<void(EndpointRequest&)> change = {}) {
    Container container;
    container.name = name;
    for (const std::string& network : networks) {
      EndpointRequest request;
      request.container_id = container.id;
      request.container_name = name;
      if (change) change(request);
      container.endpoints.push_back(manager().reserve(network, request));
    }
    const std::size_t gateway = manager().gateway_endpoint(container.endpoints);
    for (unsigned i = 0; i < container.endpoints.size(); ++i)
      manager().attach(container.endpoints[i], container.netns.get(), i, i == gateway);
    return container;
  }

  // 198.51.100.0/24 and 2001:db8:100::/64 by default: .1 is our host, .2 the other, whose default route is ours.
  [[nodiscard]] OtherHost plug_in(const std::string& interface = "lan0", const std::string& v4 = "198.51.100.",
                                  const std::string& v6 = "2001:db8:100::") {
    OtherHost other;
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    kernel::VethSpec cable;
    cable.host_name = interface;
    cable.peer_name = "eth0";
    cable.peer_netns = other.netns.get();
    cable.peer_mac = {2, 0, 0, 0, 0, 2};
    kernel::create_veth(socket, cable);
    kernel::set_net_sysctl("ipv6/conf/" + interface + "/accept_dad", "0");
    const int index = kernel::find_link(socket, interface)->index;
    kernel::LinkChanges()
        .add_address(index, IpPrefix::parse(v4 + "1/24"))
        .add_address(index, IpPrefix::parse(v6 + "1/64"))
        .execute(socket, "cable");
    in(other.netns.get(), [&] {
      kernel::NetlinkSocket inside(NETLINK_ROUTE);
      const int eth0 = kernel::find_link(inside, "eth0")->index;
      kernel::set_net_sysctl("ipv6/conf/eth0/accept_dad", "0");
      kernel::LinkChanges()
          .up(1)
          .up(eth0)
          .add_address(eth0, IpPrefix::parse(v4 + "2/24"))
          .add_address(eth0, IpPrefix::parse(v6 + "2/64"))
          .default_route(eth0, IpAddress::parse(v4 + "1"))
          .default_route(eth0, IpAddress::parse(v6 + "1"))
          .execute(inside, "cable");
      kernel::wait_operational(inside, "eth0", kPatience);
    });
    kernel::wait_operational(socket, interface, kPatience);
    return other;
  }

  PublishResult publish(const Container& container, std::uint16_t container_port, std::uint16_t host_port,
                        Protocol protocol = Protocol::tcp, const std::string& host_ip = "") {
    PortPublish request;
    request.container_port = container_port;
    request.host_port = host_port;
    request.protocol = protocol;
    request.host_ip = host_ip;
    return manager().publish(container.id, container.endpoints.at(0), {request});
  }

  NetworkOptions options_;
  Memory memory_;
  UniqueFd host_;
  std::unique_ptr<NetworkManager> manager_;
};

inline constexpr const char* kLanHost = "198.51.100.1";
inline constexpr const char* kLanOther = "198.51.100.2";
inline constexpr const char* kLanHost6 = "2001:db8:100::1";
inline constexpr const char* kLanOther6 = "2001:db8:100::2";

}  // namespace bryo::network::lab

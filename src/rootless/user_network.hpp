// The user-mode network: connects a network namespace that belongs to our user namespace with the host's network, by a
// process that turns frames of a tap device into ordinary sockets. Drivers: builtin (libslirp in our own confined
// process, bryo-usernet), pasta, slirp4netns, vpnkit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/netns.hpp"

namespace bryo::rootless {

enum class NetworkDriver { builtin, pasta, slirp4netns, vpnkit };
// rootlesskit's words: "slirp" and "builtin", "pasta", "slirp4netns", "vpnkit". Error{invalid_argument} otherwise.
NetworkDriver parse_network_driver(const std::string& text);
std::string_view to_string(NetworkDriver driver);

struct UserNetworkOptions {
  NetworkDriver driver = NetworkDriver::builtin;
  int mtu = 65520;
  std::string cidr = "10.0.2.0/24";
  bool ipv6 = true;
  // Closed by default: 127.0.0.1 of the host is not reachable, except these TCP and UDP ports of it.
  bool host_loopback = false;
  std::vector<std::uint16_t> host_ports;
  std::string interface = "tap0";
  std::string state_directory;  // 0700, exists: record and log of the process
  // The host's, as the caller's mount namespace shows it when start() is called: before a copy of /etc covers it. (The
  // other drivers read /etc/resolv.conf of that moment; pasta follows no change of it.)
  std::string resolv_conf = "/etc/resolv.conf";
  std::string program;  // bryo-usernet; empty: beside the calling program
};

struct UserNetworkFacts {
  NetworkDriver driver = NetworkDriver::builtin;
  std::string interface;
  int mtu = 0;
  std::string address, gateway;  // without prefix length; 10.0.2.100 and 10.0.2.2
  std::string dns;               // a name server that answers as the host's do: 10.0.2.3
  std::string host_address;      // stands for the host's own services (host.docker.internal): 10.0.2.2
  std::string address6, gateway6, dns6, host_address6;  // empty without IPv6
};

class UserNetwork {
 public:
  // Starts the driver's process outside, makes the interface inside with addresses and default routes, and returns when
  // packets pass. The process outlives its starter. Throws Error and leaves nothing behind when it cannot.
  static UserNetwork start(const UserNetworkOptions& options, int netns_fd, kernel::NetnsThread& outside);
  // The one that an earlier engine with this state directory left running; nullopt when there is none.
  static std::optional<UserNetwork> adopt(const std::string& state_directory);

  UserNetwork() = default;
  UserNetwork(UserNetwork&&) = default;
  UserNetwork& operator=(UserNetwork&&) = default;
  // The process goes on.
  ~UserNetwork();

  const UserNetworkFacts& facts() const { return facts_; }
  // Readable when the process has ended (pidfd_open(2)): start() again then.
  int process() const { return process_.get(); }
  // Ends the process and waits for its end; interface and routes go with it.
  void stop();

 private:
  UserNetworkFacts facts_;
  UniqueFd process_;
  std::string state_directory_;
};

}  // namespace bryo::rootless

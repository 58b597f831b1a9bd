// Published ports as values: what is asked for, what was given, and the sockets that the container's monitor keeps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/unique_fd.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::network {

enum class Protocol : std::uint8_t { tcp, udp };
std::string_view to_string(Protocol protocol);
// "tcp" or "udp"; throws Error{unsupported} for sctp, Error{invalid_argument} otherwise.
Protocol parse_protocol(std::string_view text);

struct PortPublish {
  std::uint16_t container_port = 0;
  Protocol protocol = Protocol::tcp;
  std::string host_ip;              // empty: every address, of both families
  std::uint16_t host_port = 0;      // 0: choose one from the ephemeral range
  std::uint16_t host_port_end = 0;  // above host_port: any free port from host_port to here
};

// One address family of one publication. "-p 5000:5000" gives two: 0.0.0.0 and ::. The engine stores these with the
// container (and shows them as NetworkSettings.Ports) and hands them back to NetworkManager::restore().
struct PublishedPort {
  std::string protocol;  // "tcp", "udp"
  std::uint16_t container_port = 0;
  std::string host_ip;  // "0.0.0.0", "::", "192.0.2.7"
  std::uint16_t host_port = 0;
  std::string target_ip;  // the container's address; of the other family when the container has no address of this one
  bool translated = false;  // also by nf_tables; otherwise through the monitor's socket only (loopback, other family)
  bool operator==(const PublishedPort&) const = default;
};

// A bound socket for the monitor: TCP ones listen already. It keeps the port reserved on the host, and serves what
// nf_tables leaves alone: connections from the host's loopback; with NetworkOptions::outside, all. All are O_CLOEXEC
// and non-blocking.
struct PublishedSocket {
  UniqueFd fd;
  Protocol protocol = Protocol::tcp;
  std::string host_ip;
  std::uint16_t host_port = 0;
  std::string target_ip;
  std::uint16_t target_port = 0;
  // For clients of the other family, when the socket takes both; empty: target_ip.
  std::string other_target_ip;
  // The monitor's connections to the container shall come from the client's own address and port.
  bool transparent = false;
};

// A socket that was handed to the engine when it started, bound where the engine itself may not bind (LISTEN_FDS). It
// serves whoever publishes exactly this address and port; [::] of both families serves those who publish 0.0.0.0 and
// ::. Kept open for ever, so that a container can come back; what arrives meanwhile waits in its queue.
struct InheritedPort {
  UniqueFd fd;
  Protocol protocol = Protocol::tcp;
  kernel::IpAddress host;
  std::uint16_t port = 0;
  bool both_families = false;
  // Throws Error{invalid_argument} unless it is a UDP socket bound to a port or a TCP socket that listens.
  static InheritedPort inspect(UniqueFd socket);
};

struct PublishResult {
  std::vector<PublishedPort> ports;
  std::vector<PublishedSocket> sockets;
};

// Where the engine's own network is not the one that clients come to (inside rootlesskit): whoever opens the same ports
// out there. Calls may wait for another process.
class OuterPorts {
 public:
  virtual ~OuterPorts() = default;
  // Where to listen in here for what comes to this address out there. The address itself, where it is ours, too.
  virtual kernel::IpAddress listens_at(const kernel::IpAddress& host) = 0;
  // All or none. Error{conflict} when one is taken out there.
  virtual void add(const std::vector<PublishedPort>& ports) = 0;
  virtual void remove(const std::vector<PublishedPort>& ports) noexcept = 0;
  // These and no others, after an engine that was killed.
  virtual void settle(const std::vector<PublishedPort>& ports) noexcept = 0;
};

}  // namespace bryo::network

template <>
struct bryo::json::Fields<bryo::network::PublishedPort> {
  using T = bryo::network::PublishedPort;
  static constexpr auto list = std::tuple{field("Protocol", &T::protocol),  field("ContainerPort", &T::container_port),
                                          field("HostIp", &T::host_ip),     field("HostPort", &T::host_port),
                                          field("TargetIp", &T::target_ip), field("Translated", &T::translated)};
};

// Published ports as values: what is asked for, what was given, and the sockets that the container's monitor keeps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/unique_fd.hpp"

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
// nf_tables leaves alone: connections from the host's loopback. All are O_CLOEXEC and non-blocking.
struct PublishedSocket {
  UniqueFd fd;
  Protocol protocol = Protocol::tcp;
  std::string host_ip;
  std::uint16_t host_port = 0;
  std::string target_ip;
  std::uint16_t target_port = 0;
};

struct PublishResult {
  std::vector<PublishedPort> ports;
  std::vector<PublishedSocket> sockets;
};

}  // namespace bryo::network

template <>
struct bryo::json::Fields<bryo::network::PublishedPort> {
  using T = bryo::network::PublishedPort;
  static constexpr auto list = std::tuple{field("Protocol", &T::protocol),  field("ContainerPort", &T::container_port),
                                          field("HostIp", &T::host_ip),     field("HostPort", &T::host_port),
                                          field("TargetIp", &T::target_ip), field("Translated", &T::translated)};
};

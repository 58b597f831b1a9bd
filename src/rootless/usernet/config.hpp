// The command line of bryo-usernet: what a UserNetwork hands to its process. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bryo::rootless::usernet {

// Descriptors that the program is born with.
inline constexpr int kTapDescriptor = 3;
inline constexpr int kReadyDescriptor = 4;  // gets "1" as soon as frames are taken

struct Config {
  int mtu = 65520;
  std::string cidr = "10.0.2.0/24";
  bool ipv6 = true;
  bool host_loopback = false;
  std::vector<std::uint16_t> host_ports;
  std::string resolv_conf = "/etc/resolv.conf";
  bool operator==(const Config&) const = default;
};

inline constexpr int kSmallestMtu = 1280;  // of IPv6 (RFC 8200)
inline constexpr int kLargestMtu = 65521;  // of libslirp

std::vector<std::string> arguments_of(const Config& config);
// Error{invalid_argument} names what is wrong.
Config parse_arguments(std::span<char* const> arguments);

}  // namespace bryo::rootless::usernet

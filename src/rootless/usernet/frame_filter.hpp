// What of the namespace's frames reaches the stack. libslirp connects to whatever address a frame names, and takes
// several for the host's own loopback; here stands what may pass, before it parses anything. Pure.
//
// - Only ARP, IPv4 (whole datagrams: reassembly.hpp) and IPv6 without extension headers.
// - The host's loopback by its own addresses: never (127/8, 0/8, 255.255.255.255, ::/64 with ::1 and ::ffff:a.b.c.d,
//   node- and link-local multicast but for neighbour discovery).
// - The small network: the host's stand-in on open ports, the name server on port 53, and ping of both. Nothing else
//   lives there.
// - Everything else passes: the host's network decides, as for any program.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "rootless/usernet/addresses.hpp"

namespace bryo::rootless::usernet {

using Frame = std::span<const std::uint8_t>;

// refuse: dropped, and the sender is told at once (refusal.hpp) instead of waiting.
enum class Verdict { pass, drop, refuse };

class FrameFilter {
 public:
  // `ports`: TCP and UDP of 127.0.0.1 and ::1 that are open; all of them when `host_loopback`.
  FrameFilter(const UserNetworkAddresses& addresses, bool host_loopback, std::vector<std::uint16_t> ports);
  // A whole Ethernet frame, however malformed.
  Verdict judge(Frame frame) const;

 private:
  Verdict judge_v4(Frame packet) const;
  Verdict judge_v6(Frame packet) const;
  Verdict judge_service(bool is_host, bool is_dns, std::uint8_t protocol, Frame transport) const;
  bool is_open(std::uint16_t port) const;

  std::uint32_t network_ = 0, mask_ = 0, host_ = 0, dns_ = 0;
  std::array<std::uint8_t, 16> host6_{}, dns6_{};
  bool host_loopback_;
  std::vector<std::uint16_t> ports_;  // sorted
};

}  // namespace bryo::rootless::usernet

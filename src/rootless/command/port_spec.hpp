// A published port, as rootlesskit writes it: on the command line "[IP:]PORT:[CHILDIP:]PORT/PROTO", in JSON
// {"proto":"tcp","parentIP":"0.0.0.0","parentPort":8080,"childPort":80,"childIP":"10.0.2.100"}. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::rootless::command {

struct PortSpec {
  std::string proto;  // tcp, tcp4, tcp6, udp, udp4, udp6
  std::string parent_ip;
  std::uint16_t parent_port = 0;
  std::uint16_t child_port = 0;
  std::string child_ip;  // empty: the loopback address of the command's namespace

  // Brackets around IPv6 addresses; without an address all of the host's. Error{invalid_argument}.
  static PortSpec parse(std::string_view text);
  // Error{invalid_argument} for a protocol, an address or a port that cannot be, or addresses of another family than
  // the protocol's.
  void check() const;

  bool tcp() const { return proto.starts_with("tcp"); }
  // The host's addresses to listen at: both "any" addresses for tcp and udp without a single address.
  std::vector<kernel::IpAddress> listen_addresses() const;
  // Where all of them go: child_ip, or the loopback address.
  std::string target() const;
  // Whether both want the same port of the same address.
  bool conflicts_with(const PortSpec& other) const;
  std::string str() const;
  bool operator==(const PortSpec&) const = default;
};

inline constexpr std::string_view kProtocols[] = {"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"};

}  // namespace bryo::rootless::command

template <>
struct bryo::json::Fields<bryo::rootless::command::PortSpec> {
  using Spec = bryo::rootless::command::PortSpec;
  static constexpr auto list =
      std::tuple{field("proto", &Spec::proto), field("parentIP", &Spec::parent_ip, omit_empty),
                 field("parentPort", &Spec::parent_port), field("childPort", &Spec::child_port),
                 field("childIP", &Spec::child_ip, omit_empty)};
};

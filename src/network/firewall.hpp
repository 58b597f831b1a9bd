// The one nf_tables table of this engine: who may reach which container, and where published ports lead.
//
//   table inet <tag> {
//     set bridges, internal, masq, proxied   interface names        set direct, hairpin   pairs of them
//     set self4, self6   container address, protocol, port: what the container itself asks its monitor for
//     map ports4, any4, ports6, any6   (host address,) protocol, port → container address, port
//     chain raw          prerouting -300:  127/8 and ::1 from outside are dropped (CVE-2020-8558); what comes out of a
//                        bridge must have a source that is routed there
//     chain foreign      prerouting -150, only when asked for: what answers a monitor's socket that has a client's
//     address
//                        (IP_TRANSPARENT) gets a mark, by which it is routed to that socket (transparent_routes.hpp)
//     chain prerouting   nat -100: to an address of this host (fib daddr type local: CVE-2025-67499) and in a map →
//     dnat chain output       nat -100: the same for the host's own programs; loopback is left to the monitors' sockets
//     chain postrouting  nat 100: masquerade what leaves a bridge, and what returns into the one that it came from
//     chain input        internal networks reach only their bridge's own address on this host
//     chain forward      into a bridge: answers, published ports, the same network; nothing else
//   }
//
// Publishing a port or adding a network is a set element; everything else is loaded once. Other tables are neither read
// nor touched. On kernels that know the flag (6.9) the table belongs to our socket, so that nobody else can flush it;
// on older ones a thread watches and loads it again (CVE-2025-54388: a firewall reload must not open containers).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernel/sockets_address.hpp"
#include "network/ports.hpp"

namespace bryo::network {

struct BridgeRules {
  std::string interface;
  bool internal = false;
  bool icc = true;  // containers of the network may talk to each other
  bool masquerade = true;
  bool operator==(const BridgeRules&) const = default;
};

struct Translation {
  Protocol protocol = Protocol::tcp;
  kernel::IpAddress host;  // any() = every address of the host
  std::uint16_t host_port = 0;
  kernel::IpAddress target;  // of the same family
  std::uint16_t target_port = 0;
  // The monitor serves the port, too: then it also serves the container itself, which a translated frame could not
  // reach through the bridge port that it came from (br_netfilter).
  bool proxied = true;
  auto operator<=>(const Translation&) const = default;
};

// Routing mark of packets for sockets with IP_TRANSPARENT ("br").
inline constexpr std::uint32_t kTransparentMark = 0x6272;

struct FirewallOptions {
  bool own = true;           // false behaves as on a kernel without owned tables
  bool transparent = false;  // mark packets for sockets with IP_TRANSPARENT
};

// Thread-safe. Changes are transactions: they are in force when the call returns, or it throws and nothing has changed.
class Firewall {
 public:
  // `tag`: the table's name. Nothing happens in the kernel yet. In the namespace of the calling thread, for ever.
  explicit Firewall(std::string tag, FirewallOptions options = {});
  ~Firewall();  // the table stays
  Firewall(const Firewall&) = delete;
  Firewall& operator=(const Firewall&) = delete;

  // Replaces the whole table by this state in one transaction. `close_transit`: also drop what neither comes from nor
  // goes to a container, because forwarding was off before we needed it. No bridges: the table goes.
  void replace(std::vector<BridgeRules> bridges, std::vector<Translation> translations, bool close_transit);
  void add_bridge(const BridgeRules& bridge);
  void remove_bridge(const std::string& interface);
  void add(std::span<const Translation> translations);
  void remove(std::span<const Translation> translations);
  // Takes the table away; it comes back with the next bridge.
  void clear();
  // Whether packets for sockets with IP_TRANSPARENT are marked: asked for, and the kernel can (nft_socket).
  bool transparent();
  // Base chains of other tables that drop forwarded packets by policy, as "ip filter FORWARD".
  std::vector<std::string> foreign_drop_policies();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::network

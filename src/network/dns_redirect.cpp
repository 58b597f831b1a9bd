#include "network/dns_redirect.hpp"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <span>

#include "base/error.hpp"
#include "kernel/nftables.hpp"
#include "network/resolv_conf.hpp"

namespace bryo::network {

using kernel::NftFamily;
using kernel::NftHook;
using kernel::NftRule;
using kernel::NftVerdict;

namespace {

constexpr const char* kTable = "bryo_dns";
constexpr const char* kChain = "output";
constexpr int kPriorityRaw = -300;
constexpr unsigned kSourceAddress = 12;
constexpr unsigned kDestinationAddress = 16;
constexpr unsigned kSourcePort = 0;
constexpr unsigned kDestinationPort = 2;
constexpr unsigned kUdpChecksum = 6;
constexpr unsigned kTcpChecksum = 16;

// Packets with this port at this end of 127.0.0.11 get the other port. No connection tracking: the way back is the same
// rule the other way round.
NftRule rewrite(std::uint8_t protocol, unsigned address_at, unsigned port_at, std::uint16_t from, std::uint16_t to) {
  const auto server = kernel::IpAddress::parse(kEmbeddedDns).bytes();
  const std::uint16_t from_network = htons(from);
  const std::uint16_t to_network = htons(to);
  NftRule rule;
  rule.protocol_is(protocol);
  rule.network_header(0, address_at, 4).equals(0, std::as_bytes(std::span(server).first(4)));
  rule.transport_header(0, port_at, 2).equals(0, std::as_bytes(std::span(&from_network, 1)));
  rule.immediate(0, std::as_bytes(std::span(&to_network, 1)));
  rule.write_transport_header(0, port_at, 2, protocol == IPPROTO_UDP ? kUdpChecksum : kTcpChecksum);
  return rule;
}

void load(kernel::NetlinkSocket& socket, std::uint16_t udp_port, std::uint16_t tcp_port, bool replace) {
  kernel::NftTransaction change(NftFamily::ip, kTable);
  if (replace) change.delete_table();
  change.create_table(kernel::NftOwned::no);
  change.add_chain({kChain, false, NftHook::output, kPriorityRaw});
  change.add_rule(kChain, NftRule().output_is_not("lo").verdict(NftVerdict::accept));
  for (const auto& [protocol, port] : {std::pair<std::uint8_t, std::uint16_t>{IPPROTO_UDP, udp_port},
                                       std::pair<std::uint8_t, std::uint16_t>{IPPROTO_TCP, tcp_port}}) {
    change.add_rule(kChain, rewrite(protocol, kDestinationAddress, kDestinationPort, 53, port));
    change.add_rule(kChain, rewrite(protocol, kSourceAddress, kSourcePort, port, 53));
  }
  change.commit(socket, "redirect DNS inside the container");
}

}  // namespace

void redirect_dns(std::uint16_t udp_port, std::uint16_t tcp_port) {
  kernel::NetlinkSocket socket(NETLINK_NETFILTER);
  try {
    load(socket, udp_port, tcp_port, false);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::conflict) throw;
    load(socket, udp_port, tcp_port, true);
  }
}

}  // namespace bryo::network

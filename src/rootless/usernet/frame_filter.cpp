#include "rootless/usernet/frame_filter.hpp"

#include <algorithm>

#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::uint16_t kDnsPort = 53;

std::uint32_t number_of(const kernel::IpAddress& address) { return static_cast<std::uint32_t>(address.value()); }

bool all_zero(Frame bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

FrameFilter::FrameFilter(const UserNetworkAddresses& addresses, bool host_loopback, std::vector<std::uint16_t> ports)
    : network_(number_of(addresses.network.first())),
      mask_(~(network_ ^ number_of(addresses.network.last()))),
      host_(number_of(addresses.host)),
      dns_(number_of(addresses.dns)),
      host6_(addresses.host6.bytes()),
      dns6_(addresses.dns6.bytes()),
      host_loopback_(host_loopback),
      ports_(std::move(ports)) {
  std::ranges::sort(ports_);
}

bool FrameFilter::is_open(std::uint16_t port) const {
  return host_loopback_ || std::ranges::binary_search(ports_, port);
}

Verdict FrameFilter::judge(Frame frame) const {
  if (frame.size() < kEthernetHeader) return Verdict::drop;
  switch (read16(frame, 12)) {
    case kEtherArp:
      return Verdict::pass;
    case kEtherIp4:
      return judge_v4(frame.subspan(kEthernetHeader));
    case kEtherIp6:
      return judge_v6(frame.subspan(kEthernetHeader));
    default:
      return Verdict::drop;
  }
}

Verdict FrameFilter::judge_v4(Frame packet) const {
  if (packet.size() < kIp4Header || packet[0] >> 4 != 4) return Verdict::drop;
  const std::size_t header = static_cast<std::size_t>(packet[0] & 15) * 4;
  const std::size_t total = read16(packet, 2);
  if (header < kIp4Header || total < header || total > packet.size()) return Verdict::drop;
  const std::uint32_t destination = read32(packet, 16);
  const std::uint32_t first_byte = destination >> 24;
  if (first_byte == 127 || first_byte == 0 || destination == 0xffffffff) return Verdict::drop;
  constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
  if ((read16(packet, 6) & kMoreFragmentsOrOffset) != 0) return Verdict::drop;
  if ((destination & mask_) != network_) return Verdict::pass;
  return judge_service(destination == host_, destination == dns_, packet[9], packet.subspan(header, total - header));
}

Verdict FrameFilter::judge_v6(Frame packet) const {
  if (packet.size() < kIp6Header || packet[0] >> 4 != 6) return Verdict::drop;
  const std::size_t payload = read16(packet, 4);
  if (payload > packet.size() - kIp6Header) return Verdict::drop;
  const std::uint8_t protocol = packet[6];
  if (protocol != kProtocolTcp && protocol != kProtocolUdp && protocol != kProtocolIcmp6) return Verdict::drop;
  const Frame destination = packet.subspan(24, 16);
  if (all_zero(destination.first(8))) return Verdict::drop;
  const bool multicast = destination[0] == 0xff;
  const bool near_multicast = multicast && (destination[1] & 15) <= 2;
  const bool link_local = destination[0] == 0xfe && (destination[1] & 0xc0) == 0x80;
  if (near_multicast || link_local) return protocol == kProtocolIcmp6 ? Verdict::pass : Verdict::drop;
  if (!std::ranges::equal(destination.first(8), Frame(host6_).first(8))) return Verdict::pass;
  return judge_service(std::ranges::equal(destination, host6_), std::ranges::equal(destination, dns6_), protocol,
                       packet.subspan(kIp6Header, payload));
}

Verdict FrameFilter::judge_service(bool is_host, bool is_dns, std::uint8_t protocol, Frame transport) const {
  if (protocol == kProtocolIcmp || protocol == kProtocolIcmp6) return is_host || is_dns ? Verdict::pass : Verdict::drop;
  const bool tcp = protocol == kProtocolTcp;
  if (!tcp && protocol != kProtocolUdp) return Verdict::drop;
  if (transport.size() < (tcp ? kTcpHeader : kUdpHeader)) return Verdict::drop;
  const std::uint16_t port = read16(transport, 2);
  const bool open = (is_dns && port == kDnsPort) || (is_host && is_open(port));
  return open ? Verdict::pass : Verdict::refuse;
}

}  // namespace bryo::rootless::usernet

#include "rootless/usernet/refusal.hpp"

#include <algorithm>

#include "rootless/usernet/packet.hpp"
#include "rootless/usernet/reply.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kReset = 4, kAck = 16;

using Bytes = std::vector<std::uint8_t>;

Bytes reset(Frame frame, const ParsedPacket& packet) {
  const Frame tcp = packet.transport;
  const std::uint8_t flags = tcp[13];
  if ((flags & kReset) != 0) return {};
  Bytes out = reply_to(frame, kProtocolTcp, kTcpHeader);
  const std::span<std::uint8_t> answer = std::span(out).last(kTcpHeader);
  write16(answer, 0, read16(tcp, 2));
  write16(answer, 2, read16(tcp, 0));
  answer[12] = 5 << 4;
  if ((flags & kAck) != 0) {
    write32(answer, 4, read32(tcp, 8));
    answer[13] = kReset;
  } else {
    const std::size_t header = std::min<std::size_t>(static_cast<std::size_t>(tcp[12] >> 4) * 4, tcp.size());
    const std::size_t length = tcp.size() - header + ((flags & kSyn) != 0 ? 1 : 0) + ((flags & kFin) != 0 ? 1 : 0);
    write32(answer, 8, read32(tcp, 4) + static_cast<std::uint32_t>(length));
    answer[13] = kReset | kAck;
  }
  write_checksum(out, 16);
  return out;
}

Bytes port_unreachable(Frame frame, const ParsedPacket& packet) {
  // As much of the packet as fits the smallest MTU of the family, less our headers.
  constexpr std::size_t kQuote4 = 576 - kIp4Header - 8, kQuote6 = 1280 - kIp6Header - 8;
  const std::size_t quoted = std::min(packet.ip.size(), packet.v6 ? kQuote6 : kQuote4);
  Bytes out = reply_to(frame, packet.v6 ? kProtocolIcmp6 : kProtocolIcmp, 8 + quoted);
  const std::span<std::uint8_t> icmp = std::span(out).last(8 + quoted);
  icmp[0] = packet.v6 ? 1 : 3;
  icmp[1] = packet.v6 ? 4 : 3;
  std::ranges::copy(packet.ip.first(quoted), icmp.begin() + 8);
  write_checksum(out, 2);
  return out;
}

}  // namespace

std::vector<std::uint8_t> refusal_of(Frame refused) {
  const ParsedPacket packet = parse_packet(refused);
  return packet.protocol == kProtocolTcp ? reset(refused, packet) : port_unreachable(refused, packet);
}

}  // namespace bryo::rootless::usernet

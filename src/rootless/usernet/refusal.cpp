#include "rootless/usernet/refusal.hpp"

#include <algorithm>

#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::uint8_t kTimeToLive = 64;
constexpr std::uint8_t kFin = 1, kSyn = 2, kReset = 4, kAck = 16;

using Bytes = std::vector<std::uint8_t>;

struct Packet {
  Frame ip;         // header and payload, without what the wire added
  Frame transport;  // payload
  bool v6 = false;
  std::uint8_t protocol = 0;
  std::size_t address_at() const { return v6 ? 8 : 12; }
  std::size_t address_size() const { return v6 ? 16 : 4; }
};

Packet parse(Frame frame) {
  Packet out;
  out.v6 = read16(frame, 12) == kEtherIp6;
  out.ip = frame.subspan(kEthernetHeader);
  const std::size_t header = out.v6 ? kIp6Header : static_cast<std::size_t>(out.ip[0] & 15) * 4;
  const std::size_t total = out.v6 ? kIp6Header + read16(out.ip, 4) : read16(out.ip, 2);
  out.ip = out.ip.first(total);
  out.transport = out.ip.subspan(header);
  out.protocol = out.v6 ? out.ip[6] : out.ip[9];
  return out;
}

// An empty answer: headers with the addresses exchanged and room for `payload` bytes.
Bytes answer_to(Frame frame, const Packet& packet, std::uint8_t protocol, std::size_t payload) {
  const std::size_t header = packet.v6 ? kIp6Header : kIp4Header;
  Bytes out(kEthernetHeader + header + payload);
  std::copy_n(frame.begin() + 6, 6, out.begin());
  std::copy_n(frame.begin(), 6, out.begin() + 6);
  std::copy_n(frame.begin() + 12, 2, out.begin() + 12);
  const std::span<std::uint8_t> ip = std::span(out).subspan(kEthernetHeader);
  if (packet.v6) {
    ip[0] = 0x60;
    write16(ip, 4, static_cast<std::uint16_t>(payload));
    ip[6] = protocol;
    ip[7] = kTimeToLive;
  } else {
    ip[0] = 0x45;
    write16(ip, 2, static_cast<std::uint16_t>(kIp4Header + payload));
    ip[8] = kTimeToLive;
    ip[9] = protocol;
  }
  const std::size_t at = packet.address_at(), size = packet.address_size();
  std::ranges::copy(packet.ip.subspan(at + size, size), ip.begin() + static_cast<std::ptrdiff_t>(at));
  std::ranges::copy(packet.ip.subspan(at, size), ip.begin() + static_cast<std::ptrdiff_t>(at + size));
  if (!packet.v6) write16(ip, 10, fold(sum16(ip.first(kIp4Header))));
  return out;
}

// With the pseudo header, which ICMP of IPv4 has not.
void write_checksum(Bytes& out, const Packet& packet, std::uint8_t protocol, std::size_t at) {
  const std::span<std::uint8_t> ip = std::span(out).subspan(kEthernetHeader);
  const std::span<std::uint8_t> payload = ip.subspan(packet.v6 ? kIp6Header : kIp4Header);
  std::uint32_t sum = sum16(payload);
  if (protocol != kProtocolIcmp)
    sum = sum16(ip.subspan(packet.address_at(), packet.address_size() * 2), sum) + protocol +
          static_cast<std::uint32_t>(payload.size());
  write16(payload, at, fold(sum));
}

Bytes reset(Frame frame, const Packet& packet) {
  const Frame tcp = packet.transport;
  const std::uint8_t flags = tcp[13];
  if ((flags & kReset) != 0) return {};
  Bytes out = answer_to(frame, packet, kProtocolTcp, kTcpHeader);
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
  write_checksum(out, packet, kProtocolTcp, 16);
  return out;
}

Bytes port_unreachable(Frame frame, const Packet& packet) {
  // As much of the packet as fits the smallest MTU of the family, less our headers.
  constexpr std::size_t kQuote4 = 576 - kIp4Header - 8, kQuote6 = 1280 - kIp6Header - 8;
  const std::size_t quoted = std::min(packet.ip.size(), packet.v6 ? kQuote6 : kQuote4);
  const std::uint8_t protocol = packet.v6 ? kProtocolIcmp6 : kProtocolIcmp;
  Bytes out = answer_to(frame, packet, protocol, 8 + quoted);
  const std::span<std::uint8_t> icmp = std::span(out).last(8 + quoted);
  icmp[0] = packet.v6 ? 1 : 3;
  icmp[1] = packet.v6 ? 4 : 3;
  std::ranges::copy(packet.ip.first(quoted), icmp.begin() + 8);
  write_checksum(out, packet, protocol, 2);
  return out;
}

}  // namespace

std::vector<std::uint8_t> refusal_of(Frame refused) {
  const Packet packet = parse(refused);
  return packet.protocol == kProtocolTcp ? reset(refused, packet) : port_unreachable(refused, packet);
}

}  // namespace bryo::rootless::usernet

#include "rootless/usernet/reply.hpp"

#include <algorithm>

#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::uint8_t kTimeToLive = 64;

}  // namespace

ParsedPacket parse_packet(Frame frame) {
  ParsedPacket out;
  out.v6 = read16(frame, 12) == kEtherIp6;
  out.ip = frame.subspan(kEthernetHeader);
  const std::size_t header = out.v6 ? kIp6Header : static_cast<std::size_t>(out.ip[0] & 15) * 4;
  const std::size_t total = out.v6 ? kIp6Header + read16(out.ip, 4) : read16(out.ip, 2);
  out.ip = out.ip.first(total);
  out.transport = out.ip.subspan(header);
  out.protocol = out.v6 ? out.ip[6] : out.ip[9];
  return out;
}

std::vector<std::uint8_t> reply_to(Frame frame, std::uint8_t protocol, std::size_t payload) {
  const ParsedPacket packet = parse_packet(frame);
  const std::size_t header = packet.v6 ? kIp6Header : kIp4Header;
  std::vector<std::uint8_t> out(kEthernetHeader + header + payload);
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
  const Frame addresses = packet.addresses();
  const std::size_t size = addresses.size() / 2;
  const std::span<std::uint8_t> place = packet.v6 ? ip.subspan(8, 32) : ip.subspan(12, 8);
  std::ranges::copy(addresses.last(size), place.begin());
  std::ranges::copy(addresses.first(size), place.begin() + static_cast<std::ptrdiff_t>(size));
  if (!packet.v6) write16(ip, 10, fold(sum16(ip.first(kIp4Header))));
  return out;
}

void write_checksum(std::vector<std::uint8_t>& reply, std::size_t at) {
  const ParsedPacket packet = parse_packet(reply);
  std::uint32_t sum = sum16(packet.transport);
  if (packet.protocol != kProtocolIcmp)
    sum = sum16(packet.addresses(), sum) + packet.protocol + static_cast<std::uint32_t>(packet.transport.size());
  write16(reply, reply.size() - packet.transport.size() + at, fold(sum));
}

}  // namespace bryo::rootless::usernet

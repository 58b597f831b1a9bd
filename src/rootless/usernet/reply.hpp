// Packets that answer others: the headers of one turned round. Pure. Frames are taken as the filter lets them through:
// their lengths are true.
#pragma once

#include <cstdint>
#include <vector>

#include "rootless/usernet/frame_filter.hpp"

namespace bryo::rootless::usernet {

struct ParsedPacket {
  Frame ip;         // header and payload, without what the wire added
  Frame transport;  // payload
  bool v6 = false;
  std::uint8_t protocol = 0;
  // Of source and destination, one after the other.
  Frame addresses() const { return v6 ? ip.subspan(8, 32) : ip.subspan(12, 8); }
};
ParsedPacket parse_packet(Frame frame);

// To the sender of `frame`, from whom it was for; `payload` zero bytes after the IP header, which is complete.
std::vector<std::uint8_t> reply_to(Frame frame, std::uint8_t protocol, std::size_t payload);
// The checksum of the payload, at this place in it; with the pseudo header but for ICMP of IPv4.
void write_checksum(std::vector<std::uint8_t>& reply, std::size_t at);

}  // namespace bryo::rootless::usernet

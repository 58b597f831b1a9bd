#include "rootless/usernet/offload.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::size_t kLargestPacket = 65535;
// From this payload on two do not make a packet worth the copy.
constexpr std::size_t kLargestJoined = 16384;
constexpr std::size_t kLargestHeaders = kEthernetHeader + kIp6Header + 60;
constexpr std::uint8_t kPush = 8, kAck = 16;
constexpr std::size_t kTcpChecksum = 16;

std::span<std::uint8_t> ip_of(std::span<std::uint8_t> frame) { return frame.subspan(kEthernetHeader); }

// The sum of the pseudo header, where the kernel expects it and adds the rest (skb_partial_csum_set).
void write_partial_checksum(std::span<std::uint8_t> headers, bool v6, std::size_t tcp_at, std::size_t tcp_size) {
  const auto addresses = v6 ? ip_of(headers).subspan(8, 32) : ip_of(headers).subspan(12, 8);
  const std::uint32_t sum = sum16(addresses) + kProtocolTcp + static_cast<std::uint32_t>(tcp_size);
  write16(headers, tcp_at + kTcpChecksum, static_cast<std::uint16_t>(~fold(sum)));
}

PacketHeader checksum_left_out(std::size_t tcp_at) {
  PacketHeader out;
  out.flags = kNeedsChecksum;
  out.csum_start = static_cast<std::uint16_t>(tcp_at);
  out.csum_offset = kTcpChecksum;
  return out;
}

// One's complement sum in the machine's own order (RFC 1071, 2B): sums of 32-bit words in lanes of 64, which no packet
// can overflow. Compiled with -O3, which makes vectors of the lanes: this is the one loop over every byte that is ours.
std::uint16_t native_sum(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kLanes = 8;
  std::array<std::uint64_t, kLanes> lanes = {};
  std::array<std::uint32_t, kLanes> words;
  const std::size_t whole = bytes.size() / sizeof words * sizeof words;
  for (std::size_t at = 0; at < whole; at += sizeof words) {
    std::memcpy(words.data(), bytes.data() + at, sizeof words);
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] += words[i];
  }
  words = {};
  std::memcpy(words.data(), bytes.data() + whole, bytes.size() - whole);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kLanes; ++i) sum += lanes[i] + words[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

}  // namespace

bool complete_checksum(const PacketHeader& header, std::span<std::uint8_t> frame) {
  if ((header.flags & kNeedsChecksum) == 0) return true;
  const std::size_t start = header.csum_start;
  const std::size_t field = start + header.csum_offset;
  if (start > frame.size() || field + 2 > frame.size()) return false;
  auto sum = static_cast<std::uint16_t>(~native_sum(frame.subspan(start)));
  if (sum == 0) sum = 0xffff;  // 0 means "none" in UDP, and is the same number
  std::memcpy(&frame[field], &sum, sizeof sum);
  return true;
}

struct TapWriter::Segment {
  Frame frame;
  bool v6 = false;
  std::size_t tcp_at = 0;
  std::size_t payload_at = 0;
  std::uint8_t flags = 0;

  std::size_t payload() const { return frame.size() - payload_at; }
  std::uint32_t sequence() const { return read32(frame, tcp_at + 4); }
  // Only data, nothing that a connection does once.
  bool plain_data() const { return payload() > 0 && (flags & ~kPush) == kAck; }

  // False when it is no TCP, or not as libslirp writes it.
  static bool parse(Frame frame, Segment& out) {
    if (frame.size() < kEthernetHeader + kIp4Header + kTcpHeader) return false;
    const std::uint16_t type = read16(frame, 12);
    const Frame ip = frame.subspan(kEthernetHeader);
    out.frame = frame;
    out.v6 = type == kEtherIp6;
    if (out.v6) {
      if (ip.size() < kIp6Header + kTcpHeader || ip[6] != kProtocolTcp || read16(ip, 4) + kIp6Header != ip.size())
        return false;
      out.tcp_at = kEthernetHeader + kIp6Header;
    } else {
      constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
      if (type != kEtherIp4 || ip[0] != 0x45 || ip[9] != kProtocolTcp || read16(ip, 2) != ip.size() ||
          (read16(ip, 6) & kMoreFragmentsOrOffset) != 0)
        return false;
      out.tcp_at = kEthernetHeader + kIp4Header;
    }
    out.payload_at = out.tcp_at + static_cast<std::size_t>(frame[out.tcp_at + 12] >> 4) * 4;
    out.flags = frame[out.tcp_at + 13];
    return out.payload_at <= frame.size() && out.payload_at >= out.tcp_at + kTcpHeader;
  }
};

TapWriter::TapWriter(int tap) : tap_(tap), held_(kEthernetHeader + kLargestPacket) {}

void TapWriter::send(Frame frame) {
  Segment segment;
  if (!Segment::parse(frame, segment)) {
    flush();
    return write({}, frame, {});
  }
  if (size_ != 0 && joins(segment)) return append(segment);
  flush();
  const bool more_may_follow = segment.plain_data() && (segment.flags & kPush) == 0;
  if (more_may_follow && segment.payload() <= kLargestJoined)
    hold(segment);
  else
    write_segment(segment);
}

// The same connection, the next byte, and nothing that the first one's headers do not say as well.
bool TapWriter::joins(const Segment& segment) const {
  if (!segment.plain_data() || segment.payload_at != header_size_ || segment.sequence() != next_sequence_) return false;
  if (segment.payload() > segment_size_ || size_ - kEthernetHeader + segment.payload() > kLargestPacket) return false;
  const Frame held(held_.data(), header_size_), mine = segment.frame.first(header_size_);
  const auto same = [&](std::size_t from, std::size_t to) {
    return std::equal(held.begin() + static_cast<std::ptrdiff_t>(from), held.begin() + static_cast<std::ptrdiff_t>(to),
                      mine.begin() + static_cast<std::ptrdiff_t>(from));
  };
  const std::size_t ip = kEthernetHeader, tcp = segment.tcp_at;
  // Not compared: lengths, IPv4's id and checksum, TCP's sequence number, flags and checksum.
  const bool same_ip = segment.v6 ? same(0, ip + 4) && same(ip + 6, tcp)
                                  : same(0, ip + 2) && same(ip + 6, ip + 10) && same(ip + 12, tcp);
  return same_ip && same(tcp, tcp + 4) && same(tcp + 8, tcp + 13) && same(tcp + 14, tcp + kTcpChecksum) &&
         same(tcp + kTcpChecksum + 2, header_size_);
}

void TapWriter::hold(const Segment& segment) {
  std::ranges::copy(segment.frame, held_.begin());
  size_ = segment.frame.size();
  header_size_ = segment.payload_at;
  segment_size_ = segment.payload();
  next_sequence_ = segment.sequence() + static_cast<std::uint32_t>(segment.payload());
}

void TapWriter::append(const Segment& segment) {
  std::ranges::copy(segment.frame.subspan(segment.payload_at), held_.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += segment.payload();
  next_sequence_ += static_cast<std::uint32_t>(segment.payload());
  held_[segment.tcp_at + 13] |= segment.flags;
  if (segment.payload() < segment_size_ || (segment.flags & kPush) != 0) flush();
}

void TapWriter::flush() {
  if (size_ == 0) return;
  const std::span<std::uint8_t> packet(held_.data(), std::exchange(size_, 0));
  Segment segment;
  // Its length is not yet what its header says: of the parsed values only where things are is used.
  segment.v6 = read16(packet, 12) == kEtherIp6;
  segment.tcp_at = kEthernetHeader + (segment.v6 ? kIp6Header : kIp4Header);
  const std::span<std::uint8_t> ip = ip_of(packet);
  if (segment.v6) {
    write16(ip, 4, static_cast<std::uint16_t>(ip.size() - kIp6Header));
  } else {
    write16(ip, 2, static_cast<std::uint16_t>(ip.size()));
    write16(ip, 10, 0);
    write16(ip, 10, fold(sum16(ip.first(kIp4Header))));
  }
  write_partial_checksum(packet.first(header_size_), segment.v6, segment.tcp_at, packet.size() - segment.tcp_at);
  PacketHeader header = checksum_left_out(segment.tcp_at);
  if (packet.size() - header_size_ > segment_size_) {
    header.gso_type = segment.v6 ? kLargeTcp6 : kLargeTcp4;
    header.gso_size = static_cast<std::uint16_t>(segment_size_);
    header.hdr_len = static_cast<std::uint16_t>(header_size_);
  }
  write(header, packet, {});
}

void TapWriter::write_segment(const Segment& segment) const {
  std::array<std::uint8_t, kLargestHeaders> headers;
  const std::size_t size = segment.payload_at;
  std::ranges::copy(segment.frame.first(size), headers.begin());
  write_partial_checksum(std::span(headers).first(size), segment.v6, segment.tcp_at,
                         segment.frame.size() - segment.tcp_at);
  write(checksum_left_out(segment.tcp_at), {headers.data(), size}, segment.frame.subspan(size));
}

void TapWriter::write(const PacketHeader& header, std::span<const std::uint8_t> first,
                      std::span<const std::uint8_t> rest) const {
  const auto piece = [](const void* data, std::size_t size) { return iovec{const_cast<void*>(data), size}; };
  const std::array<iovec, 3> pieces = {piece(&header, sizeof header), piece(first.data(), first.size()),
                                       piece(rest.data(), rest.size())};
  static_cast<void>(::writev(tap_, pieces.data(), rest.empty() ? 2 : 3));
}

}  // namespace bryo::rootless::usernet

// Offsets and numbers of the headers that we look at: Ethernet II, IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293), UDP
// (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bryo::rootless::usernet {

inline constexpr std::size_t kEthernetHeader = 14;
inline constexpr std::size_t kIp4Header = 20;
inline constexpr std::size_t kIp6Header = 40;
inline constexpr std::size_t kTcpHeader = 20;
inline constexpr std::size_t kUdpHeader = 8;

inline constexpr std::uint16_t kEtherIp4 = 0x0800;
inline constexpr std::uint16_t kEtherArp = 0x0806;
inline constexpr std::uint16_t kEtherIp6 = 0x86dd;

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIcmp6 = 58;

// struct virtio_net_hdr of linux/virtio_net.h (which no C++ compiler takes), before every frame of the tap; in the
// machine's byte order.
struct PacketHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 0;  // from csum_start
};
inline constexpr std::uint8_t kNeedsChecksum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
inline constexpr std::uint8_t kLargeTcp4 = 1;      // VIRTIO_NET_HDR_GSO_TCPV4
inline constexpr std::uint8_t kLargeTcp6 = 4;      // VIRTIO_NET_HDR_GSO_TCPV6

inline std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline std::uint32_t read32(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint32_t>(read16(bytes, at)) << 16 | read16(bytes, at + 2);
}
inline void write16(std::span<std::uint8_t> bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}
inline void write32(std::span<std::uint8_t> bytes, std::size_t at, std::uint32_t value) {
  write16(bytes, at, static_cast<std::uint16_t>(value >> 16));
  write16(bytes, at + 2, static_cast<std::uint16_t>(value));
}

// RFC 1071, one's complement sum to be continued; fold() ends it.
inline std::uint32_t sum16(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += read16(bytes, i);
  if (bytes.size() % 2 != 0) sum += static_cast<std::uint32_t>(bytes.back()) << 8;
  return sum;
}
inline std::uint16_t fold(std::uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace bryo::rootless::usernet

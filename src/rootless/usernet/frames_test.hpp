// Builds frames for tests, with right checksums, by another way than the code under test.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bryo::rootless::usernet::frames {

using Bytes = std::vector<std::uint8_t>;

inline void put16(Bytes& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
inline void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

inline unsigned checksum(const Bytes& bytes) {
  unsigned long sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] * 256UL : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<unsigned>(~sum & 0xffff);
}

inline Bytes address(const std::string& text) {
  Bytes out(text.find(':') == std::string::npos ? 4 : 16);
  inet_pton(out.size() == 4 ? AF_INET : AF_INET6, text.c_str(), out.data());
  return out;
}

inline Bytes join(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// `payload` is everything after the IP header.
inline Bytes packet(const std::string& from, const std::string& to, std::uint8_t protocol, const Bytes& payload,
                    unsigned fragment = 0) {
  Bytes out = {0x52, 0x55, 10, 0, 2, 2, 2, 0, 0, 0, 0, 1};
  const Bytes source = address(from), destination = address(to);
  Bytes ip;
  if (source.size() == 4) {
    put16(out, 0x0800);
    ip = {0x45, 0};
    put16(ip, static_cast<unsigned>(20 + payload.size()));
    put16(ip, 7);
    put16(ip, fragment);
    ip.push_back(64);
    ip.push_back(protocol);
    put16(ip, 0);
    ip = join(join(ip, source), destination);
    const unsigned sum = checksum(ip);
    ip[10] = static_cast<std::uint8_t>(sum >> 8);
    ip[11] = static_cast<std::uint8_t>(sum);
  } else {
    put16(out, 0x86dd);
    put32(ip, 0x60000000);
    put16(ip, static_cast<unsigned>(payload.size()));
    ip.push_back(protocol);
    ip.push_back(64);
    ip = join(join(ip, source), destination);
  }
  return join(join(out, ip), payload);
}

// Checksum of a transport payload with its pseudo header, over which a right one gives 0.
inline unsigned transport_checksum(const Bytes& frame) {
  const bool v6 = frame[12] == 0x86;
  const std::size_t ip = 14, header = v6 ? 40 : 20;
  const std::uint8_t protocol = frame[ip + (v6 ? 6 : 9)];
  Bytes all;
  if (protocol != 1) {
    all.insert(all.end(), frame.begin() + static_cast<long>(ip + (v6 ? 8 : 12)),
               frame.begin() + static_cast<long>(ip + header));
    put32(all, static_cast<std::uint32_t>(frame.size() - ip - header));
    put32(all, protocol);
  }
  all.insert(all.end(), frame.begin() + static_cast<long>(ip + header), frame.end());
  return checksum(all);
}

inline Bytes tcp(unsigned from, unsigned to, std::uint8_t flags, std::uint32_t sequence = 1000, std::uint32_t ack = 0,
                 const Bytes& data = {}) {
  Bytes out;
  put16(out, from);
  put16(out, to);
  put32(out, sequence);
  put32(out, ack);
  out.push_back(5 << 4);
  out.push_back(flags);
  put16(out, 65535);
  put32(out, 0);
  return join(out, data);
}

inline Bytes udp(unsigned from, unsigned to, const Bytes& data = {'h', 'i'}) {
  Bytes out;
  put16(out, from);
  put16(out, to);
  put16(out, static_cast<unsigned>(8 + data.size()));
  put16(out, 0);
  return join(out, data);
}

inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kReset = 4, kPush = 8, kAck = 16;

}  // namespace bryo::rootless::usernet::frames

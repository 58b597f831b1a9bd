// Puts fragments of IPv4 together (RFC 791, RFC 815) before libslirp sees them: its own reassembly is where others were
// attacked (CVE-2019-14378, CVE-2020-1983), and breaks under malformed fragments still. Strict: pieces that overlap, or
// that disagree about the end, take their datagram with them (RFC 5722's rule for IPv6). Bounded in number and time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rootless/usernet/frame_filter.hpp"

namespace bryo::rootless::usernet {

// Whether a frame holds a piece of an IPv4 datagram.
bool is_fragment(Frame frame);

class Reassembly {
 public:
  static constexpr std::int64_t kPatience = 15000;  // ms, as Linux' ipfrag_time is of seconds
  static constexpr std::size_t kMostDatagrams = 16;
  static constexpr std::size_t kMostPieces = 256;

  // The frame of the whole datagram when `fragment` was its last missing piece; empty otherwise. Its memory is good
  // until the next call. `now` in ms, never backwards.
  std::span<std::uint8_t> take(Frame fragment, std::int64_t now);

 private:
  struct Key {
    std::uint32_t source = 0, destination = 0;
    std::uint16_t id = 0;
    std::uint8_t protocol = 0;
    bool operator==(const Key&) const = default;
  };
  struct Piece {
    std::size_t begin = 0, end = 0;
    bool operator==(const Piece&) const = default;
  };
  struct Datagram {
    Key key;
    std::int64_t deadline = 0;
    std::size_t total = 0;  // payload; 0: the last piece is not here yet
    std::size_t received = 0;
    std::vector<Piece> pieces;
    std::vector<std::uint8_t> frame;  // Ethernet and IP headers, then the payload
  };
  Datagram& find(const Key& key, std::int64_t now);
  // False: it cannot become a datagram any more.
  static bool add(Datagram& datagram, Frame fragment, Piece piece, bool last);

  std::vector<Datagram> datagrams_;
  std::vector<std::uint8_t> whole_;
};

}  // namespace bryo::rootless::usernet

// The tap device carries what network cards carry: packets larger than the MTU, whose segmentation and checksums are
// left to the receiver (PacketHeader before each frame; tun's IFF_VNET_HDR). The namespace's kernel then hands over 64
// KiB at a time whatever its MTU, and takes as much. libslirp knows nothing of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rootless/usernet/frame_filter.hpp"
#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {

// What the kernel left out, put in: libslirp verifies checksums. False when the header does not fit the frame. Pure.
bool complete_checksum(const PacketHeader& header, std::span<std::uint8_t> frame);

// Frames of libslirp on their way to the tap. Consecutive segments of one TCP connection are joined to one large
// packet, which the kernel takes as one; the kernel verifies no checksum of TCP that we have just made.
class TapWriter {
 public:
  explicit TapWriter(int tap);
  // Held back only while a further segment may follow; flush() ends that. A frame that the interface does not take (it
  // is down, its queue is full) is lost, as on a wire.
  void send(Frame frame);
  void flush();

 private:
  struct Segment;
  bool joins(const Segment& segment) const;
  void hold(const Segment& segment);
  void append(const Segment& segment);
  void write_segment(const Segment& segment) const;
  void write(const PacketHeader& header, std::span<const std::uint8_t> first, std::span<const std::uint8_t> rest) const;

  int tap_;
  std::vector<std::uint8_t> held_;  // headers and payload of the segments that are joined
  std::size_t size_ = 0;            // of what is held; 0: nothing
  std::size_t header_size_ = 0;     // Ethernet, IP and TCP
  std::size_t segment_size_ = 0;    // payload of each but the last
  std::uint32_t next_sequence_ = 0;
};

}  // namespace bryo::rootless::usernet

#include "rootless/usernet/offload.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "rootless/usernet/frames_test.hpp"

namespace bryo::rootless::usernet {
namespace {

using namespace frames;

constexpr std::size_t kEndOfHeaders = 14 + 20 + 20;

// The other end of the tap.
class TapWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_), 0);
    const int size = 1 << 20;
    ::setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    writer_.emplace(ends_[0]);
  }
  void TearDown() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  struct Written {
    PacketHeader header;
    Bytes frame;
  };
  std::vector<Written> written() {
    std::vector<Written> out;
    Bytes buffer(70000);
    for (;;) {
      const ssize_t size = ::recv(ends_[1], buffer.data(), buffer.size(), 0);
      if (size <= 0) return out;
      Written one;
      std::memcpy(&one.header, buffer.data(), sizeof one.header);
      one.frame.assign(buffer.begin() + sizeof one.header, buffer.begin() + size);
      out.push_back(one);
    }
  }
  static Bytes data(std::size_t size, std::uint8_t first) {
    Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(first + i);
    return out;
  }
  static Bytes segment(std::uint32_t sequence, std::size_t size, std::uint8_t flags = kAck, unsigned port = 80) {
    return packet("192.0.2.1", "10.0.2.100", kTcp,
                  tcp(port, 40000, flags, sequence, 9, data(size, static_cast<std::uint8_t>(sequence))));
  }

  int ends_[2] = {-1, -1};
  std::optional<TapWriter> writer_;
};

// What the kernel does with such a frame at its other end: puts in the checksum that was left out.
Bytes completed(PacketHeader header, Bytes frame) {
  EXPECT_TRUE(complete_checksum(header, frame));
  return frame;
}

TEST_F(TapWriterTest, OneSegmentIsItselfWithoutItsChecksum) {
  writer_->send(segment(1, 1000, kAck | kPush));
  const auto out = written();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].header.flags, kNeedsChecksum);
  EXPECT_EQ(out[0].header.gso_type, 0);
  EXPECT_EQ(transport_checksum(completed(out[0].header, out[0].frame)), 0U);
}

TEST_F(TapWriterTest, ConsecutiveSegmentsBecomeOnePacket) {
  writer_->send(segment(1000, 1460));
  writer_->send(segment(2460, 1460));
  EXPECT_TRUE(written().empty()) << "more may follow";
  writer_->send(segment(3920, 100, kAck | kPush));
  const auto out = written();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].header.gso_type, kLargeTcp4);
  EXPECT_EQ(out[0].header.gso_size, 1460);
  EXPECT_EQ(out[0].header.hdr_len, kEndOfHeaders);
  const Bytes& frame = out[0].frame;
  ASSERT_EQ(frame.size(), kEndOfHeaders + 1460 + 1460 + 100);
  EXPECT_EQ(frame[16] * 256 + frame[17], static_cast<int>(frame.size() - 14)) << "IPv4's length";
  EXPECT_EQ(checksum(Bytes(frame.begin() + 14, frame.begin() + 34)), 0U) << "IPv4's checksum";
  EXPECT_EQ(frame[14 + 20 + 13], kAck | kPush);
  const Bytes all = join(join(data(1460, 1000 & 255), data(1460, 2460 & 255)), data(100, 3920 & 255));
  EXPECT_EQ(Bytes(frame.begin() + kEndOfHeaders, frame.end()), all);
  EXPECT_EQ(transport_checksum(completed(out[0].header, frame)), 0U);
}

TEST_F(TapWriterTest, Version6IsJoinedToo) {
  const auto segment6 = [](std::uint32_t sequence) {
    return packet("2001:db8::1", "fd62:7279:6f00::100", kTcp, tcp(80, 40000, kAck, sequence, 9, Bytes(1000, 'x')));
  };
  writer_->send(segment6(0));
  writer_->send(segment6(1000));
  writer_->flush();
  const auto out = written();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].header.gso_type, kLargeTcp6);
  EXPECT_EQ(out[0].frame[18] * 256 + out[0].frame[19], 20 + 2000);
  EXPECT_EQ(transport_checksum(completed(out[0].header, out[0].frame)), 0U);
}

TEST_F(TapWriterTest, WhatDoesNotBelongTogetherStaysApartAndInOrder) {
  const auto sent = std::vector<Bytes>{segment(1000, 500),           segment(1000, 500, kAck, 81),
                                       segment(1501, 500, kAck, 81), segment(2001, 600, kAck, 81),
                                       segment(2601, 0, kAck, 81),   segment(2601, 500, kAck | kFin, 81)};
  for (const Bytes& frame : sent) writer_->send(frame);
  writer_->flush();
  const auto out = written();
  ASSERT_EQ(out.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(out[i].header.gso_type, 0) << i;
    EXPECT_EQ(Bytes(out[i].frame.begin() + kEndOfHeaders, out[i].frame.end()),
              Bytes(sent[i].begin() + kEndOfHeaders, sent[i].end()))
        << i;
  }
}

TEST_F(TapWriterTest, NoPacketIsLargerThanItsLengthCanSay) {
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < 60; ++i, total += 1460) writer_->send(segment(i * 1460, 1460));
  writer_->flush();
  const auto out = written();
  ASSERT_EQ(out.size(), 2U);
  std::size_t arrived = 0;
  for (const auto& one : out) {
    EXPECT_LE(one.frame.size() - 14, 65535U);
    arrived += one.frame.size() - kEndOfHeaders;
  }
  EXPECT_EQ(arrived, total);
}

TEST_F(TapWriterTest, OtherFramesGoAsTheyAre) {
  for (const Bytes& frame : {packet("192.0.2.1", "10.0.2.100", kUdp, udp(53, 40000)), Bytes(20, 0), Bytes(60, 0xff),
                             segment(1, 10, kSyn | kAck)}) {
    writer_->send(frame);
    const auto out = written();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].frame.size(), frame.size());
  }
  // Malformed TCP is not ours to mend.
  Bytes broken = segment(1, 10);
  broken[17] = 1;
  writer_->send(broken);
  const auto out = written();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].frame, broken);
  EXPECT_EQ(out[0].header.flags, 0);
}

TEST(CompleteChecksum, IsThatOfTheWholePayload) {
  for (const std::size_t size : {0U, 1U, 2U, 7U, 31U, 32U, 33U, 1460U, 65001U}) {
    Bytes payload(size);
    for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::uint8_t>(i * 31 + 255);
    Bytes frame = packet("10.0.2.100", "192.0.2.1", kTcp, tcp(1, 2, kAck, 3, 4, payload));
    // As the kernel leaves it: the sum of the pseudo header.
    Bytes pseudo = join(address("10.0.2.100"), address("192.0.2.1"));
    put32(pseudo, static_cast<std::uint32_t>(20 + size));
    put32(pseudo, kTcp);
    const unsigned partial = ~checksum(pseudo) & 0xffff;
    frame[14 + 20 + 16] = static_cast<std::uint8_t>(partial >> 8);
    frame[14 + 20 + 17] = static_cast<std::uint8_t>(partial);
    PacketHeader header;
    header.flags = kNeedsChecksum;
    header.csum_start = 34;
    header.csum_offset = 16;
    EXPECT_TRUE(complete_checksum(header, frame));
    EXPECT_EQ(transport_checksum(frame), 0U) << size;
  }
}

TEST(CompleteChecksum, StaysInsideTheFrame) {
  Bytes frame(60);
  PacketHeader header;
  header.flags = kNeedsChecksum;
  for (const auto& [start, offset] : {std::pair(61, 0), std::pair(60, 0), std::pair(59, 0), std::pair(0, 59),
                                      std::pair(65535, 65535), std::pair(40, 19)}) {
    header.csum_start = static_cast<std::uint16_t>(start);
    header.csum_offset = static_cast<std::uint16_t>(offset);
    EXPECT_FALSE(complete_checksum(header, frame)) << start << "+" << offset;
  }
  header.csum_start = 40;
  header.csum_offset = 18;
  EXPECT_TRUE(complete_checksum(header, frame));
}

}  // namespace
}  // namespace bryo::rootless::usernet

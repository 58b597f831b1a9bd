#include "rootless/usernet/frame_filter.hpp"

#include <gtest/gtest.h>

#include "rootless/usernet/frames_test.hpp"
#include "rootless/usernet/refusal.hpp"

namespace bryo::rootless::usernet {
namespace {

using namespace frames;

constexpr const char* kGuest = "10.0.2.100";
constexpr const char* kGuest6 = "fd62:7279:6f00::100";

class FrameFilterTest : public ::testing::Test {
 protected:
  Verdict judge(const Bytes& frame) const { return filter_.judge(frame); }
  Verdict to(const std::string& destination, std::uint8_t protocol, const Bytes& payload, unsigned fragment = 0) const {
    return judge(packet(destination.find(':') == std::string::npos ? kGuest : kGuest6, destination, protocol, payload,
                        fragment));
  }
  Verdict syn(const std::string& destination, unsigned port) const {
    return to(destination, kTcp, tcp(40000, port, kSyn));
  }
  Verdict datagram(const std::string& destination, unsigned port) const {
    return to(destination, kUdp, udp(40000, port));
  }

  FrameFilter filter_{user_network_addresses("10.0.2.0/24"), false, {8080, 22}};
};

TEST_F(FrameFilterTest, TheWorldIsOpen) {
  for (const char* somewhere : {"192.0.2.1", "10.0.3.2", "172.17.0.1", "224.0.0.251", "2001:db8::1", "fd00::3"}) {
    EXPECT_EQ(syn(somewhere, 80), Verdict::pass) << somewhere;
    EXPECT_EQ(datagram(somewhere, 9), Verdict::pass) << somewhere;
  }
  EXPECT_EQ(to("192.0.2.1", kIcmp, {8, 0, 0, 0, 0, 1, 0, 1}), Verdict::pass);
}

TEST_F(FrameFilterTest, HostLoopbackByItsOwnAddressNeverPasses) {
  for (const char* loopback : {"127.0.0.1", "127.255.0.9", "0.0.0.0", "0.1.2.3", "255.255.255.255", "::1",
                               "::", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:10.0.0.1"}) {
    EXPECT_EQ(syn(loopback, 8080), Verdict::drop) << loopback;
    EXPECT_EQ(datagram(loopback, 8080), Verdict::drop) << loopback;
    EXPECT_EQ(to(loopback, std::string(loopback).find(':') == std::string::npos ? kIcmp : kIcmp6, {8, 0, 0, 0}),
              Verdict::drop)
        << loopback;
  }
  // libslirp takes these for the loopback too.
  EXPECT_EQ(datagram("ff02::1", 8080), Verdict::drop);
  EXPECT_EQ(datagram("ff01::1", 8080), Verdict::drop);
  EXPECT_EQ(syn("fe80::2", 8080), Verdict::drop);
}

TEST_F(FrameFilterTest, OnlyOpenPortsOfTheHost) {
  for (const char* host : {"10.0.2.2", "fd62:7279:6f00::2"}) {
    EXPECT_EQ(syn(host, 8080), Verdict::pass);
    EXPECT_EQ(datagram(host, 22), Verdict::pass);
    EXPECT_EQ(syn(host, 8081), Verdict::refuse);
    EXPECT_EQ(datagram(host, 53), Verdict::refuse);
    EXPECT_EQ(syn(host, 0), Verdict::refuse);
  }
  const FrameFilter open(user_network_addresses("10.0.2.0/24"), true, {});
  EXPECT_EQ(open.judge(packet(kGuest, "10.0.2.2", kTcp, tcp(1, 8081, kSyn))), Verdict::pass);
  EXPECT_EQ(open.judge(packet(kGuest, "127.0.0.1", kTcp, tcp(1, 8081, kSyn))), Verdict::drop);
}

TEST_F(FrameFilterTest, NameServerOnItsPortAndNobodyElseInTheNetwork) {
  for (const char* dns : {"10.0.2.3", "fd62:7279:6f00::3"}) {
    EXPECT_EQ(syn(dns, 53), Verdict::pass);
    EXPECT_EQ(datagram(dns, 53), Verdict::pass);
    EXPECT_EQ(syn(dns, 8080), Verdict::refuse) << "open on the host only";
  }
  for (const char* nobody : {"10.0.2.77", "10.0.2.255", "10.0.2.0", "fd62:7279:6f00::77"}) {
    EXPECT_EQ(syn(nobody, 53), Verdict::refuse) << nobody;
    EXPECT_EQ(datagram(nobody, 8080), Verdict::refuse) << nobody;
  }
  EXPECT_EQ(to("10.0.2.2", kIcmp, {8, 0, 0, 0}), Verdict::pass);
  EXPECT_EQ(to("10.0.2.77", kIcmp, {8, 0, 0, 0}), Verdict::drop);
  EXPECT_EQ(to("10.0.2.2", 132, tcp(1, 8080, kSyn)), Verdict::drop) << "SCTP";
}

// The second fragment has no ports: a first one to an open port must not carry it through, nor the other way round.
TEST_F(FrameFilterTest, FragmentsAreDropped) {
  EXPECT_EQ(to("192.0.2.1", kUdp, udp(1, 2), 0x2000), Verdict::drop);
  EXPECT_EQ(to("10.0.2.2", kUdp, udp(1, 8080), 0x2000), Verdict::drop);
  EXPECT_EQ(to("10.0.2.2", kUdp, udp(1, 8080), 0x0001), Verdict::drop);
  EXPECT_EQ(to("10.0.2.3", kUdp, udp(1, 53), 0x2001), Verdict::drop);
  EXPECT_EQ(to("10.0.2.2", kUdp, udp(1, 8080), 0x4000), Verdict::pass) << "don't fragment";
}

TEST_F(FrameFilterTest, MalformedFramesAreDropped) {
  const Bytes good = packet(kGuest, "10.0.2.2", kTcp, tcp(1, 8080, kSyn));
  const Bytes good6 = packet(kGuest6, "fd62:7279:6f00::2", kTcp, tcp(1, 8080, kSyn));
  ASSERT_EQ(judge(good), Verdict::pass);
  ASSERT_EQ(judge(good6), Verdict::pass);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(judge(Bytes(good.begin(), good.begin() + static_cast<long>(size))), Verdict::drop) << size;
  for (std::size_t size = 0; size < good6.size(); ++size)
    EXPECT_EQ(judge(Bytes(good6.begin(), good6.begin() + static_cast<long>(size))), Verdict::drop) << size;
  const auto changed = [&](Bytes frame, std::size_t at, std::uint8_t value) {
    frame[at] = value;
    return judge(frame);
  };
  EXPECT_EQ(changed(good, 14, 0x65), Verdict::drop) << "version";
  EXPECT_EQ(changed(good, 14, 0x44), Verdict::drop) << "header of 16 bytes";
  EXPECT_EQ(changed(good, 14, 0x4f), Verdict::drop) << "header larger than the packet";
  EXPECT_EQ(changed(good, 16, 0xff), Verdict::drop) << "length beyond the frame";
  EXPECT_EQ(changed(good, 17, 10), Verdict::drop) << "length shorter than the header";
  EXPECT_EQ(changed(good6, 14, 0x40), Verdict::drop) << "version";
  EXPECT_EQ(changed(good6, 18, 0xff), Verdict::drop) << "length beyond the frame";
  EXPECT_EQ(changed(good6, 20, 0), Verdict::drop) << "hop-by-hop options";
  EXPECT_EQ(changed(good6, 20, 44), Verdict::drop) << "fragment header";
  EXPECT_EQ(changed(good, 12, 0x88), Verdict::drop) << "neither ARP nor IP";
  // Frames may be padded, as short ones on a wire are; the ports stay where the header says.
  Bytes padded = good;
  padded.resize(good.size() + 20);
  EXPECT_EQ(judge(padded), Verdict::pass);
  // Options move the ports: what stands where they would be without is not looked at.
  Bytes options = {0, 0, 0x1f, 0x90};
  EXPECT_EQ(judge([&] {
              Bytes frame = packet(kGuest, "10.0.2.2", kTcp, join(options, tcp(1, 8081, kSyn)));
              frame[14] = 0x46;
              return frame;
            }()),
            Verdict::refuse);
}

TEST_F(FrameFilterTest, NeighbourDiscoveryAndArpPass) {
  EXPECT_EQ(to("ff02::1:ff00:2", kIcmp6, {135, 0, 0, 0}), Verdict::pass);
  EXPECT_EQ(to("ff02::2", kIcmp6, {133, 0, 0, 0}), Verdict::pass);
  EXPECT_EQ(to("fe80::2", kIcmp6, {135, 0, 0, 0}), Verdict::pass);
  Bytes arp(42);
  arp[12] = 8;
  arp[13] = 6;
  EXPECT_EQ(judge(arp), Verdict::pass);
}

TEST(Refusal, TcpIsReset) {
  for (const auto& [from, to] : {std::pair(kGuest, "10.0.2.2"), std::pair(kGuest6, "fd62:7279:6f00::2")}) {
    const Bytes answer = refusal_of(packet(from, to, kTcp, tcp(40000, 81, kSyn, 5000)));
    EXPECT_EQ(answer, [&] {
      Bytes expected = packet(to, from, kTcp, tcp(81, 40000, kReset | kAck, 0, 5001));
      std::swap_ranges(expected.begin(), expected.begin() + 6, expected.begin() + 6);
      if (from == kGuest) {  // identification is 0 in ours
        expected[18] = expected[19] = expected[24] = expected[25] = 0;
        const unsigned sum = checksum(Bytes(expected.begin() + 14, expected.begin() + 34));
        expected[24] = static_cast<std::uint8_t>(sum >> 8);
        expected[25] = static_cast<std::uint8_t>(sum);
      }
      const std::size_t at = expected.size() - 20;
      expected[at + 14] = expected[at + 15] = 0;  // no window
      const unsigned sum = transport_checksum(expected);
      expected[at + 16] = static_cast<std::uint8_t>(sum >> 8);
      expected[at + 17] = static_cast<std::uint8_t>(sum);
      return expected;
    }());
    EXPECT_EQ(transport_checksum(answer), 0U);
  }
}

TEST(Refusal, AResetAnswersWhatWasAcknowledged) {
  const Bytes answer = refusal_of(packet(kGuest, "10.0.2.2", kTcp, tcp(40000, 81, kAck | kFin, 5000, 777, {1, 2, 3})));
  ASSERT_EQ(answer.size(), 54U);
  EXPECT_EQ(Bytes(answer.begin() + 38, answer.begin() + 42), (Bytes{0, 0, 3, 9}));
  EXPECT_EQ(answer[47], kReset);
  EXPECT_TRUE(refusal_of(packet(kGuest, "10.0.2.2", kTcp, tcp(40000, 81, kReset))).empty())
      << "a reset is not answered";
  EXPECT_TRUE(refusal_of(packet(kGuest, "10.0.2.2", kTcp, tcp(40000, 81, kReset | kAck))).empty());
}

TEST(Refusal, UdpPortIsUnreachable) {
  const Bytes asked = packet(kGuest, "10.0.2.2", kUdp, udp(40000, 81, Bytes(2000)));
  const Bytes answer = refusal_of(asked);
  EXPECT_EQ(answer.size(), 14U + 576);
  EXPECT_EQ(answer[23], kIcmp);
  EXPECT_EQ(answer[34], 3);
  EXPECT_EQ(answer[35], 3);
  EXPECT_EQ(transport_checksum(answer), 0U);
  EXPECT_TRUE(std::equal(answer.begin() + 42, answer.end(), asked.begin() + 14)) << "the packet itself is quoted";
  const Bytes asked6 = packet(kGuest6, "fd62:7279:6f00::2", kUdp, udp(40000, 81));
  const Bytes answer6 = refusal_of(asked6);
  EXPECT_EQ(answer6.size(), 14U + 40 + 8 + asked6.size() - 14);
  EXPECT_EQ(answer6[54], 1);
  EXPECT_EQ(answer6[55], 4);
  EXPECT_EQ(transport_checksum(answer6), 0U);
}

TEST(Refusal, PaddingIsNoPartOfThePacket) {
  Bytes padded = packet(kGuest, "10.0.2.2", kTcp, tcp(40000, 81, kSyn, 5000));
  padded.resize(padded.size() + 10);
  const Bytes answer = refusal_of(padded);
  ASSERT_EQ(answer.size(), 54U);
  EXPECT_EQ(Bytes(answer.begin() + 42, answer.begin() + 46), (Bytes{0, 0, 0x13, 0x89}));
}

}  // namespace
}  // namespace bryo::rootless::usernet

#include "rootless/usernet/reassembly.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "rootless/usernet/frames_test.hpp"
#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {
namespace {

using namespace frames;

constexpr unsigned kMore = 0x2000;

Bytes payload(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7);
  return out;
}

Bytes piece(const Bytes& whole, std::size_t begin, std::size_t end, const std::string& to = "192.0.2.1") {
  return packet("10.0.2.100", to, kUdp,
                Bytes(whole.begin() + static_cast<long>(begin), whole.begin() + static_cast<long>(end)),
                static_cast<unsigned>(begin / 8) | (end < whole.size() ? kMore : 0));
}

Bytes taken(Reassembly& reassembly, const Bytes& fragment, std::int64_t now = 0) {
  const auto out = reassembly.take(fragment, now);
  return Bytes(out.begin(), out.end());
}

TEST(Reassembly, FragmentsInAnyOrderBecomeTheDatagram) {
  const Bytes whole = payload(4000);
  std::vector<Bytes> pieces = {piece(whole, 0, 1480), piece(whole, 1480, 2960), piece(whole, 2960, 4000)};
  std::vector<std::size_t> order = {0, 1, 2};
  do {
    Reassembly reassembly;
    EXPECT_TRUE(taken(reassembly, pieces[order[0]]).empty());
    EXPECT_TRUE(taken(reassembly, pieces[order[1]]).empty());
    EXPECT_TRUE(taken(reassembly, pieces[order[1]]).empty()) << "sent twice";
    EXPECT_EQ(taken(reassembly, pieces[order[2]]), packet("10.0.2.100", "192.0.2.1", kUdp, whole));
    EXPECT_TRUE(taken(reassembly, pieces[order[2]]).empty()) << "it begins anew";
  } while (std::ranges::next_permutation(order).found);
}

TEST(Reassembly, KnowsFragments) {
  EXPECT_TRUE(is_fragment(packet("10.0.2.100", "192.0.2.1", kUdp, payload(8), kMore)));
  EXPECT_TRUE(is_fragment(packet("10.0.2.100", "192.0.2.1", kUdp, payload(8), 1)));
  EXPECT_FALSE(is_fragment(packet("10.0.2.100", "192.0.2.1", kUdp, payload(8), 0x4000)));
  EXPECT_FALSE(is_fragment(packet("2001:db8::1", "2001:db8::2", kUdp, payload(8))));
  EXPECT_FALSE(is_fragment(Bytes(33, 0xff)));
}

TEST(Reassembly, DatagramsAreKeptApart) {
  const Bytes whole = payload(2000);
  Reassembly reassembly;
  EXPECT_TRUE(taken(reassembly, piece(whole, 0, 1000, "192.0.2.1")).empty());
  EXPECT_TRUE(taken(reassembly, piece(whole, 1000, 2000, "192.0.2.2")).empty());
  EXPECT_EQ(taken(reassembly, piece(whole, 1000, 2000, "192.0.2.1")), packet("10.0.2.100", "192.0.2.1", kUdp, whole));
}

TEST(Reassembly, CVE_2019_14378_OverlapsTakeTheDatagramAlong) {
  const Bytes whole = payload(3000);
  for (const auto& [begin, end] : {std::pair(992, 2000), std::pair(0, 2000), std::pair(8, 16), std::pair(0, 3000)}) {
    Reassembly reassembly;
    EXPECT_TRUE(taken(reassembly, piece(whole, 0, 1000)).empty());
    EXPECT_TRUE(
        taken(reassembly, piece(whole, static_cast<std::size_t>(begin), static_cast<std::size_t>(end))).empty());
    EXPECT_TRUE(taken(reassembly, piece(whole, 1000, 3000)).empty()) << "the rest alone is no datagram";
  }
}

TEST(Reassembly, DisagreementAboutTheEndIsNoDatagram) {
  const Bytes whole = payload(3000), shorter = payload(2000);
  Reassembly reassembly;
  EXPECT_TRUE(taken(reassembly, piece(whole, 2000, 3000)).empty());
  EXPECT_TRUE(taken(reassembly, piece(shorter, 1000, 2000)).empty());
  EXPECT_TRUE(taken(reassembly, piece(whole, 0, 2000)).empty());
  Reassembly other;
  EXPECT_TRUE(taken(other, piece(shorter, 1000, 2000)).empty());
  EXPECT_TRUE(taken(other, piece(whole, 2000, 2992)).empty()) << "beyond the end";
  EXPECT_TRUE(taken(other, piece(whole, 0, 1000)).empty());
}

TEST(Reassembly, MalformedPiecesAreIgnored) {
  const Bytes whole = payload(3000);
  Reassembly reassembly;
  EXPECT_TRUE(taken(reassembly, piece(whole, 0, 1000)).empty());
  const Bytes odd = packet("10.0.2.100", "192.0.2.1", kUdp, payload(1001), kMore | 125);
  const Bytes beyond = packet("10.0.2.100", "192.0.2.1", kUdp, payload(100), 0x1fff);
  const Bytes nothing = packet("10.0.2.100", "192.0.2.1", kUdp, {}, kMore | 125);
  Bytes longer = piece(whole, 1000, 2000), options = piece(whole, 1000, 2000), damaged = piece(whole, 1000, 2000);
  longer[16] = 0x40;
  options[14] = 0x46;
  damaged[30] ^= 1;
  for (const Bytes& wrong : {odd, beyond, nothing, longer, options, damaged})
    EXPECT_TRUE(taken(reassembly, wrong).empty());
  EXPECT_EQ(taken(reassembly, piece(whole, 1000, 3000)), packet("10.0.2.100", "192.0.2.1", kUdp, whole))
      << "they were no part of it";
}

TEST(Reassembly, IsBoundedInNumberAndTime) {
  const Bytes whole = payload(2000);
  Reassembly reassembly;
  taken(reassembly, piece(whole, 0, 1000), 0);
  EXPECT_TRUE(taken(reassembly, piece(whole, 1000, 2000), Reassembly::kPatience).empty()) << "too late";
  taken(reassembly, piece(whole, 0, 1000, "192.0.2.9"), Reassembly::kPatience);
  for (unsigned i = 0; i < Reassembly::kMostDatagrams; ++i)
    taken(reassembly, piece(whole, 0, 1000, "192.0.3." + std::to_string(i)), Reassembly::kPatience);
  EXPECT_TRUE(taken(reassembly, piece(whole, 1000, 2000, "192.0.2.9"), Reassembly::kPatience).empty())
      << "the oldest made room";
  EXPECT_FALSE(taken(reassembly, piece(whole, 1000, 2000, "192.0.3.15"), Reassembly::kPatience).empty());
}

// Whatever comes out is as long as it says.
TEST(Reassembly, NoiseComesOutSoundOrNotAtAll) {
  std::mt19937 random(7);
  Reassembly reassembly;
  const Bytes whole = payload(600);
  unsigned out = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::size_t begin = random() % 10 * 8, end = std::min<std::size_t>(begin + 8 + random() % 5 * 8, 600);
    Bytes fragment =
        packet("10.0.2.100", "192.0.2.1", kUdp, Bytes(whole.begin(), whole.begin() + static_cast<long>(end - begin)),
               static_cast<unsigned>(begin / 8) | (random() % 3 != 0 ? kMore : 0));
    fragment.resize(std::max<std::size_t>(34, fragment.size() - random() % 3 * 8));
    if (!is_fragment(fragment)) continue;
    const auto frame = reassembly.take(fragment, i / 100);
    if (frame.empty()) continue;
    ++out;
    ASSERT_EQ(read16(frame, 16) + 14U, frame.size());
    ASSERT_FALSE(is_fragment(frame));
  }
  EXPECT_GT(out, 100U);
}

}  // namespace
}  // namespace bryo::rootless::usernet

#include "network/ipam.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/error.hpp"
#include "network/interval_set.hpp"

namespace bryo::network {
namespace {

using kernel::Family;
using kernel::IpAddress;
using kernel::IpPrefix;

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(IntervalSet, MergesAndSplitsLikeASet) {
  IntervalSet set;
  std::set<unsigned> model;
  unsigned random = 12345;
  for (int i = 0; i < 20000; ++i) {
    random = random * 1103515245 + 12345;
    const unsigned value = random >> 16 & 63;
    if ((random >> 8 & 1) != 0)
      EXPECT_EQ(set.insert(value), model.insert(value).second);
    else
      EXPECT_EQ(set.erase(value), model.erase(value) == 1);
    std::optional<unsigned> free;
    for (unsigned at = 5; at <= 60 && !free; ++at) {
      if (!model.contains(at)) free = at;
    }
    const auto found = set.lowest_free(5, 60);
    ASSERT_EQ(found.has_value(), free.has_value());
    ASSERT_EQ(found ? static_cast<unsigned>(*found) : 0U, free.value_or(0));
  }
}

TEST(IpAddress, ReadsWhatInetPtonReads) {
  EXPECT_EQ(IpAddress::parse("10.0.0.1").str(), "10.0.0.1");
  EXPECT_EQ(IpAddress::parse("::ffff:10.0.0.1").str(), "10.0.0.1") << "one address, one value";
  EXPECT_EQ(IpAddress::parse("FD00:0:0::1").str(), "fd00::1");
  EXPECT_EQ(IpAddress::parse("fd00::1").with_port(80), "[fd00::1]:80");
  for (const char* wrong : {"", "10.1", "10.0.0.256", "010.0.0.1", "1.2.3.4 ", "fe80::1%eth0", "::g", "1.2.3.4\n"})
    EXPECT_FALSE(IpAddress::try_parse(wrong)) << wrong;
  EXPECT_FALSE(IpAddress::try_parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(IpPrefix, KnowsItsBounds) {
  const IpPrefix prefix = IpPrefix::parse("172.18.5.7/16");
  EXPECT_EQ(prefix.canonical().str(), "172.18.0.0/16");
  EXPECT_EQ(prefix.last().str(), "172.18.255.255");
  EXPECT_TRUE(prefix.overlaps(IpPrefix::parse("172.16.0.0/12")));
  EXPECT_FALSE(prefix.overlaps(IpPrefix::parse("172.19.0.0/16")));
  EXPECT_TRUE(IpPrefix::parse("0.0.0.0/0").contains(IpAddress::parse("255.255.255.255")));
  EXPECT_TRUE(IpPrefix::parse("::/0").contains(IpAddress::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
  EXPECT_EQ(IpPrefix::parse("fd00:1:2:3::/64").last().str(), "fd00:1:2:3:ffff:ffff:ffff:ffff");
  for (const char* wrong : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8", "fd00::/129", "10.0.0.0/8/8"})
    EXPECT_FALSE(IpPrefix::try_parse(wrong)) << wrong;
}

TEST(Mac, RefusesWhatNoInterfaceCanHave) {
  EXPECT_EQ(kernel::to_string(*kernel::try_parse_mac("02-42-AC-11-00-02")), "02:42:ac:11:00:02");
  for (const char* wrong : {"", "00:00:00:00:00:00", "01:00:5e:00:00:01", "02:42:ac:11:00", "02:42:ac:11:00:0g",
                            "02:42:ac:11:00:02:03", "0242.ac11.0002"})
    EXPECT_FALSE(kernel::try_parse_mac(wrong)) << wrong;
}

TEST(SubnetAddresses, GivesTheLowestFreeOne) {
  SubnetAddresses subnet(IpPrefix::parse("10.0.0.0/29"), std::nullopt);
  EXPECT_TRUE(subnet.take(subnet.default_gateway()));
  EXPECT_EQ(subnet.take()->str(), "10.0.0.2");
  EXPECT_EQ(subnet.take()->str(), "10.0.0.3");
  subnet.give_back(IpAddress::parse("10.0.0.2"));
  EXPECT_EQ(subnet.take()->str(), "10.0.0.2");
  for (int i = 4; i <= 6; ++i) EXPECT_TRUE(subnet.take());
  EXPECT_FALSE(subnet.take()) << "the network's own and the broadcast address are nobody's";
  EXPECT_FALSE(subnet.take(IpAddress::parse("10.0.0.7")));
}

TEST(SubnetAddresses, KeepsToItsRangeButTakesAnyStaticAddress) {
  SubnetAddresses subnet(IpPrefix::parse("10.0.0.0/16"), IpPrefix::parse("10.0.5.0/30"));
  EXPECT_EQ(subnet.take()->str(), "10.0.5.0");
  EXPECT_TRUE(subnet.take(IpAddress::parse("10.0.9.9")));
  EXPECT_FALSE(subnet.take(IpAddress::parse("10.0.9.9")));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(subnet.take());
  EXPECT_FALSE(subnet.take());
}

TEST(SubnetAddresses, SmallestSubnetsWork) {
  SubnetAddresses pair(IpPrefix::parse("10.0.0.0/31"), std::nullopt);
  EXPECT_EQ(pair.default_gateway().str(), "10.0.0.0");
  EXPECT_TRUE(pair.take(pair.default_gateway()));
  EXPECT_EQ(pair.take()->str(), "10.0.0.1");
  EXPECT_FALSE(pair.take());
}

TEST(SubnetAddresses, WideIpv6SubnetsCostNothing) {
  SubnetAddresses subnet(IpPrefix::parse("fd00::/8"), std::nullopt);
  EXPECT_TRUE(subnet.take(subnet.default_gateway()));
  for (int i = 0; i < 1000; ++i) subnet.take();
  EXPECT_EQ(subnet.take()->str(), "fd00::3ea");
}

TEST(SubnetChooser, GoesThroughDockersPools) {
  const SubnetChooser chooser({}, "test");
  std::vector<IpPrefix> taken;
  const auto next = [&] { return taken.emplace_back(chooser.choose(Family::v4, taken)).str(); };
  EXPECT_EQ(next(), "172.17.0.0/16");
  EXPECT_EQ(next(), "172.18.0.0/16");
  for (int i = 19; i <= 31; ++i) EXPECT_EQ(next(), "172." + std::to_string(i) + ".0.0/16");
  EXPECT_EQ(next(), "192.168.0.0/20");
  for (int i = 1; i < 16; ++i) next();
  EXPECT_EQ(taken.back().str(), "192.168.240.0/20");
  EXPECT_NE(message_of(next), "") << "31 networks, then no more";
}

TEST(SubnetChooser, StepsOverWhatTheHostReaches) {
  const SubnetChooser chooser({}, "test");
  const std::vector<IpPrefix> routes{IpPrefix::parse("172.16.0.0/14"), IpPrefix::parse("172.20.3.0/24")};
  EXPECT_EQ(chooser.choose(Family::v4, routes).str(), "172.21.0.0/16");
  EXPECT_EQ(chooser.choose(Family::v4, {IpPrefix::parse("172.16.0.0/12")}).str(), "192.168.0.0/20");
}

TEST(SubnetChooser, UniqueLocalSubnetsForIpv6) {
  const SubnetChooser one({}, "site one");
  const SubnetChooser other({}, "site two");
  const IpPrefix first = one.choose(Family::v6, {});
  EXPECT_EQ(first.length(), 64);
  EXPECT_TRUE(IpPrefix::parse("fd00::/8").contains(first));
  EXPECT_NE(first.str(), other.choose(Family::v6, {}).str());
  EXPECT_FALSE(first.overlaps(one.choose(Family::v6, {first})));
}

TEST(SubnetChooser, OwnPoolsAreChecked) {
  const SubnetChooser chooser({{"10.10.0.0/16", 24}, {"fd00:10::/48", 64}}, "test");
  EXPECT_EQ(chooser.choose(Family::v4, {IpPrefix::parse("10.10.0.0/24")}).str(), "10.10.1.0/24");
  EXPECT_EQ(chooser.choose(Family::v6, {}).str(), "fd00:10::/64");
  EXPECT_NE(message_of([] { SubnetChooser({{"10.10.0.0/16", 8}}, ""); }), "");
  EXPECT_NE(message_of([] { SubnetChooser({{"10.10.0.0", 24}}, ""); }), "");
}

TEST(SubnetChooser, EndOfTheAddressSpaceIsNoLoop) {
  const SubnetChooser chooser({{"255.255.255.0/24", 24}}, "test");
  EXPECT_NE(message_of([&] { chooser.choose(Family::v4, {IpPrefix::parse("255.255.255.255/32")}); }), "");
}

TEST(CheckedPools, CanonicalOrRefused) {
  const auto pools = checked_pools({{"10.1.2.3/16", "10.1.5.0/24", "10.1.0.9", {}}}, false);
  ASSERT_EQ(pools.size(), 1U);
  EXPECT_EQ(pools[0].subnet, "10.1.0.0/16");
  EXPECT_TRUE(checked_pools({{"fd00::/64", "", "", {}}}, false).empty()) << "IPv6 only where it was asked for";
  const std::vector<IpamPool> wrong{{"10.1.0.0", "", "", {}},
                                    {"10.1.0.0/33", "", "", {}},
                                    {"10.1.0.0/16", "10.2.0.0/24", "", {}},
                                    {"10.1.0.0/16", "", "10.2.0.1", {}},
                                    {"10.1.0.0/16", "", "x", {}},
                                    {"", "", "10.1.0.1", {}},
                                    {"10.1.0.0/16", "", "", {{"a", "10.2.0.1"}}}};
  for (const IpamPool& pool : wrong) EXPECT_NE(message_of([&] { checked_pools({pool}, false); }), "") << pool.subnet;
  EXPECT_NE(message_of([] { checked_pools({{"10.1.0.0/16", "", "", {}}, {"10.2.0.0/16", "", "", {}}}, false); }), "");
}

}  // namespace
}  // namespace bryo::network

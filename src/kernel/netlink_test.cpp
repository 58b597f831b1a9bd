// Netlink against the kernel, in a namespace of the test's own.
#include "kernel/netlink.hpp"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include "base/error.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"
#include "kernel/nftables.hpp"

namespace bryo::kernel {
namespace {

TEST(NetlinkAttributes, MalformedBytesEndTheList) {
  const std::uint16_t good[] = {8, 1, 0x1234, 0, 6, 2, 0x5678, 0};
  NetlinkAttributes attributes(std::as_bytes(std::span(good)));
  EXPECT_EQ(attributes.u32(1), 0x1234U);
  EXPECT_FALSE(attributes.u32(2)) << "too short for it";
  EXPECT_FALSE(attributes.find(3));
  for (const std::uint16_t length : {std::uint16_t{0}, std::uint16_t{3}, std::uint16_t{9}, std::uint16_t{65535}}) {
    const std::uint16_t bad[] = {length, 1, 0, 0};
    NetlinkAttributes(std::as_bytes(std::span(bad))).each([](unsigned, auto) { FAIL(); });
  }
}

class Netlink : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces";
    visit_ = std::make_unique<NetnsVisit>(netns_.get());
    route_ = std::make_unique<NetlinkSocket>(NETLINK_ROUTE);
  }
  UniqueFd netns_ = make_netns();
  std::unique_ptr<NetnsVisit> visit_;
  std::unique_ptr<NetlinkSocket> route_;
};

TEST_F(Netlink, VisitsComeBack) {
  const UniqueFd here = open_own_netns();
  EXPECT_TRUE(same_netns(here.get(), netns_.get()));
  visit_.reset();
  const UniqueFd home = open_own_netns();
  EXPECT_FALSE(same_netns(home.get(), netns_.get()));
  EXPECT_TRUE(find_link(*route_, "lo")) << "the socket stays where it was opened";
}

TEST_F(Netlink, AThreadStaysWhereItWasMade) {
  NetnsThread there;
  visit_.reset();
  UniqueFd socket_namespace;
  there.run([&] { socket_namespace = open_own_netns(); });
  EXPECT_TRUE(same_netns(socket_namespace.get(), netns_.get()));
  EXPECT_FALSE(same_netns(open_own_netns().get(), netns_.get()));
  EXPECT_THROW(there.run([] { fail(ErrorKind::conflict, "told to the caller"); }), Error);
  there.run_beside([&] { EXPECT_TRUE(same_netns(open_own_netns().get(), netns_.get())); });
  EXPECT_THROW(there.run_beside([] { fail(ErrorKind::conflict, "told to the caller"); }), Error);
  there.run([&] { socket_namespace.reset(); });
  EXPECT_FALSE(socket_namespace) << "serves on after an error";
}

TEST_F(Netlink, BridgesAreMadeMarkedAndFound) {
  create_bridge(*route_, {"b0", "mark", {2, 0, 0, 0, 0, 1}, 1400});
  const auto link = find_link(*route_, "b0");
  ASSERT_TRUE(link);
  EXPECT_EQ(link->kind, "bridge");
  EXPECT_EQ(link->alias, "mark");
  EXPECT_EQ(link->mtu, 1400);
  EXPECT_EQ(list_links(*route_, "bridge").size(), 1U);
  LinkChanges().add_address(link->index, IpPrefix::parse("10.0.0.1/24")).up(link->index).execute(*route_, "up");
  EXPECT_EQ(list_routes(*route_).at(0).str(), "10.0.0.0/24");
  delete_link(*route_, link->index);
  EXPECT_FALSE(find_link(*route_, "b0"));
}

TEST_F(Netlink, FailuresSayWhatAndWhy) {
  create_bridge(*route_, {"b0", "", {2, 0, 0, 0, 0, 1}, 0});
  try {
    create_bridge(*route_, {"b0", "", {2, 0, 0, 0, 0, 1}, 0});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.number(), EEXIST);
    EXPECT_TRUE(error.message().starts_with("create bridge b0: ")) << error.message();
  }
  EXPECT_THROW(create_bridge(*route_, {"a/b", "", {2, 0, 0, 0, 0, 1}, 0}), Error);
  EXPECT_THROW(create_bridge(*route_, {"sixteen-bytes-xx", "", {2, 0, 0, 0, 0, 1}, 0}), Error);
}

TEST_F(Netlink, NftTransactionsAreAllOrNothing) {
  NetlinkSocket socket(NETLINK_NETFILTER);
  const NftElement element{NftKey().port(80).take(), {}};
  NftTransaction good(NftFamily::inet, "t");
  good.create_table(NftOwned::no).add_set({"s", kNftService, 4}).add_elements("s", std::span(&element, 1));
  good.commit(socket, "make");
  NftTransaction bad(NftFamily::inet, "t");
  const NftElement other{NftKey().port(81).take(), {}};
  bad.add_elements("s", std::span(&other, 1)).add_rule("nochain", NftRule().verdict(NftVerdict::drop));
  EXPECT_THROW(bad.commit(socket, "half"), Error);
  EXPECT_EQ(list_elements(socket, NftFamily::inet, "t", "s").size(), 1U);
  EXPECT_THROW(NftTransaction(NftFamily::inet, "t").create_table(NftOwned::no).commit(socket, "again"), Error);
}

TEST_F(Netlink, ThousandsOfElementsInOneTransaction) {
  NetlinkSocket socket(NETLINK_NETFILTER);
  std::vector<NftElement> elements;
  for (std::uint16_t port = 1; port <= 5000; ++port) elements.push_back({NftKey().port(port).take(), {}});
  NftTransaction change(NftFamily::inet, "t");
  change.create_table(NftOwned::no).add_set({"s", kNftService, 4}).add_elements("s", elements);
  change.commit(socket, "many");
  EXPECT_EQ(list_elements(socket, NftFamily::inet, "t", "s").size(), 5000U);
}

TEST_F(Netlink, WatchTellsOfRemovedTables) {
  NetlinkSocket socket(NETLINK_NETFILTER);
  NftTransaction(NftFamily::inet, "t").create_table(NftOwned::no).commit(socket, "make");
  NftWatch watch;
  NftTransaction(NftFamily::inet, "t").delete_table().commit(socket, "remove");
  EXPECT_EQ(watch.wait("t"), NftWatch::News::removed);
  watch.stop();
  EXPECT_EQ(watch.wait("t"), NftWatch::News::stopped);
}

}  // namespace
}  // namespace bryo::kernel

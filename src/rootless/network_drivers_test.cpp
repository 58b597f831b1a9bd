// The drivers that run programs of others: the same promises as the builtin one, as an ordinary user.
#include <gtest/gtest.h>

#include <algorithm>

#include "rootless/lab_test.hpp"
#include "rootless/network_drivers.hpp"

namespace bryo::rootless {
namespace {

using lab::kHost, lab::kHost6, lab::kOther, lab::kOther6, lab::Lab;
constexpr std::uint16_t kPort = Lab::kPort;

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

TEST(NetworkDriver, NamesAreThoseOfRootlesskit) {
  EXPECT_EQ(parse_network_driver("slirp"), NetworkDriver::builtin);
  EXPECT_EQ(parse_network_driver("builtin"), NetworkDriver::builtin);
  EXPECT_EQ(parse_network_driver("pasta"), NetworkDriver::pasta);
  EXPECT_EQ(parse_network_driver("slirp4netns"), NetworkDriver::slirp4netns);
  EXPECT_EQ(parse_network_driver("vpnkit"), NetworkDriver::vpnkit);
  for (const char* wrong : {"", "host", "none", "Pasta", "lxc-user-nic"})
    EXPECT_THROW(parse_network_driver(wrong), Error) << wrong;
}

TEST(NetworkDriver, HostLoopbackIsClosedUnlessAskedFor) {
  UserNetworkOptions options;
  const auto addresses = user_network_addresses(options.cidr);
  EXPECT_TRUE(has(slirp4netns_arguments(options, 4, "/n"), "--disable-host-loopback"));
  EXPECT_TRUE(has(pasta_arguments(options, addresses, "/n", "/p"), "--no-map-gw"));
  EXPECT_EQ(std::ranges::count(pasta_arguments(options, addresses, "/n", "/p"), "none"), 4)
      << "no port of its own accord";
  options.host_loopback = true;
  EXPECT_FALSE(has(slirp4netns_arguments(options, 4, "/n"), "--disable-host-loopback"));
  EXPECT_FALSE(has(pasta_arguments(options, addresses, "/n", "/p"), "--no-map-gw"));
}

// pasta looks at what it forwards: a question for the root's name servers (RFC 1035).
const std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01", 17);

class NetworkDriverTest : public ::testing::TestWithParam<NetworkDriver> {
 protected:
  void in_lab(const std::function<void(Lab&)>& body) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces";
    if (GetParam() != NetworkDriver::vpnkit && kernel::find_program(std::string(to_string(GetParam()))).empty())
      GTEST_SKIP() << to_string(GetParam()) << " is not installed";
    lab::in_process(true, [&](Lab& lab) {
      lab.options.driver = GetParam();
      body(lab);
    });
  }
};

const auto kName = [](const auto& test) { return std::string(to_string(test.param)); };
INSTANTIATE_TEST_SUITE_P(As, NetworkDriverTest, ::testing::Values(NetworkDriver::slirp4netns, NetworkDriver::pasta),
                         kName);

TEST_P(NetworkDriverTest, TrafficGetsOutAndNamesAreAnswered) {
  in_lab([](Lab& lab) {
    // Of another host: what Debian 12's pasta can ask.
    lab::write_file(lab.options.resolv_conf, "nameserver " + std::string(kOther) + "\n");
    auto network = lab.start();
    EXPECT_EQ(lab.tcp(kOther, kPort), std::string(kHost) + "|hello");
    EXPECT_EQ(lab.udp(kOther, kPort), std::string(kHost) + "|hello");
    EXPECT_EQ(lab.udp(network.facts().dns, 53, query), std::string(kHost) + "|" + query);
    EXPECT_FALSE(network.facts().address6.empty());
    EXPECT_EQ(lab.tcp(kOther6, kPort), std::string(kHost6) + "|hello");
    lab.in([&] {
      kernel::NetlinkSocket socket(NETLINK_ROUTE);
      const auto link = kernel::find_link(socket, network.facts().interface);
      ASSERT_TRUE(link);
      EXPECT_EQ(link->mtu, 65520);
    });
    network.stop();
    EXPECT_FALSE(lab.has_interface());
  });
}

TEST_P(NetworkDriverTest, HostLoopbackIsClosedAndOpensWhole) {
  in_lab([](Lab& lab) {
    lab::write_file(lab.options.resolv_conf, "nameserver " + std::string(kOther) + "\n");
    const auto server = lab.serve("127.0.0.1", 7001);
    {
      auto network = lab.start();
      EXPECT_EQ(lab.tcp(network.facts().host_address, 7001).find("hello"), std::string::npos);
      network.stop();
    }
    lab.options.host_loopback = true;
    {
      auto network = lab.start();
      EXPECT_NE(lab.tcp(network.facts().host_address, 7001).find("hello"), std::string::npos);
      network.stop();
    }
    lab.options.host_loopback = false;
    lab.options.host_ports = {7001};
    try {
      lab.start();
      ADD_FAILURE() << "opens single ports?";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.message();
    }
  });
}

TEST_P(NetworkDriverTest, NameServersOnTheHostsLoopbackAreAskedOrMissedAloud) {
  in_lab([](Lab& lab) {
    try {
      auto network = lab.start();
      EXPECT_EQ(lab.udp(network.facts().dns, 53, query), "127.0.0.1|" + query);
      network.stop();
    } catch (const Error& error) {
      EXPECT_EQ(GetParam(), NetworkDriver::pasta);
      EXPECT_NE(error.message().find("older than 2024_08_21"), std::string::npos) << error.message();
      EXPECT_FALSE(lab.has_interface());
    }
  });
}

TEST_P(NetworkDriverTest, TheNextEngineAdoptsIt) {
  in_lab([](Lab& lab) {
    lab::write_file(lab.options.resolv_conf, "nameserver " + std::string(kOther) + "\n");
    { const auto network = lab.start(); }
    auto found = UserNetwork::adopt(lab.options.state_directory);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->facts().driver, GetParam());
    EXPECT_EQ(lab.tcp(kOther, kPort), std::string(kHost) + "|hello");
    found->stop();
    EXPECT_FALSE(UserNetwork::adopt(lab.options.state_directory));
  });
}

TEST(NetworkDriver, VpnkitSaysWhatIsMissing) {
  if (!kernel::find_program("vpnkit").empty()) GTEST_SKIP() << "vpnkit is installed";
  try {
    refuse_vpnkit();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::not_found);
    EXPECT_NE(error.message().find("not installed"), std::string::npos);
  }
}

}  // namespace
}  // namespace bryo::rootless

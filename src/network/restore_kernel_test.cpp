// The engine dies and comes back, or leaves for good: what goes on, what is cleaned up.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "kernel/nftables.hpp"
#include "network/firewall.hpp"
#include "network/lab_test.hpp"

namespace bryo::network::lab {
namespace {

class RestoreLab : public NetworkLab {
 protected:
  // As kill -9: nothing is said to the kernel, sockets just close. The published sockets are the monitor's.
  void die() { manager_.reset(); }

  static RunningContainer running(const Container& container, const PublishResult& published) {
    RunningContainer out;
    out.container_id = container.id;
    out.netns = in(container.netns.get(), [] { return kernel::open_own_netns(); });
    out.endpoints = container.endpoints;
    out.ports = published.ports;
    return out;
  }

  void restart(const Container& container, const PublishResult& published) {
    std::vector<RunningContainer> list;
    list.push_back(running(container, published));
    start(options_, std::move(list));
  }

  static std::vector<std::string> bridges() {
    kernel::NetlinkSocket socket(NETLINK_ROUTE);
    std::vector<std::string> names;
    for (const auto& link : kernel::list_links(socket, "bridge")) names.push_back(link.name);
    return names;
  }

  static bool has_table() {
    kernel::NetlinkSocket socket(NETLINK_NETFILTER);
    return kernel::find_table(socket, kernel::NftFamily::inet, "bryo").has_value();
  }
};

bool passes(int from, int to) {
  char byte = 'x';
  if (kernel::send_some(from, &byte, 1) != 1U) return false;
  return readable(to, kPatience) && kernel::receive_some(to, &byte, 1) == 1U;
}

TEST_F(RestoreLab, ConnectionsAndPortsSurviveTheEngine) {
  const OtherHost lan = plug_in();
  start();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080);
  const auto client = dial(lan.netns.get(), kLanHost, 8080);
  ASSERT_TRUE(client);
  const auto accepted = server.accept();
  ASSERT_TRUE(accepted);
  die();
  EXPECT_TRUE(passes(client->get(), accepted->get())) << "while nobody is there";
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost, 8080)) << "published ports never stop working";
  server.accept();
  restart(a, published);
  EXPECT_TRUE(passes(client->get(), accepted->get()));
  EXPECT_TRUE(passes(accepted->get(), client->get()));
  EXPECT_TRUE(dial(lan.netns.get(), kLanHost, 8080));
  EXPECT_EQ(server.accept_peer(), kLanOther);
  const Container b = make_container("b", {"bridge"});
  EXPECT_NE(b.ip(), a.ip()) << "addresses in use are remembered";
  EXPECT_THROW(publish(b, 80, 8080), Error) << "so are ports";
  manager().release_container(a.id);
  EXPECT_FALSE(dial(lan.netns.get(), kLanHost, 8080, kShort) && server.accept(0)) << "and they can be given back";
}

TEST_F(RestoreLab, PacketsPassWhileTheTableIsReplaced) {
  const OtherHost lan = plug_in();
  start();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  const PublishResult published = publish(a, 80, 8080);
  for (int i = 0; i < 20; ++i) {
    die();
    std::atomic<bool> stop = false;
    std::atomic<int> failures = 0;
    std::thread clients([&] {
      while (!stop) {
        const auto client = dial(lan.netns.get(), kLanHost, 8080, 900);  // less than a repeated SYN takes
        if (!client || server.accept_peer() != kLanOther) ++failures;
      }
    });
    restart(a, published);
    stop = true;
    clients.join();
    EXPECT_EQ(failures, 0);
  }
}

TEST_F(RestoreLab, LeftoversOfAnEarlierLifeAreRemoved) {
  start();
  make_network("kept");
  const Container a = make_container("a", {"kept"});
  const Container dead = make_container("dead", {"kept"});
  const PublishResult stale = publish(dead, 80, 8080);
  const NetworkConfig gone = make_network("gone");
  die();
  memory_.documents.erase(gone.id);  // its record was erased, its bridge not
  restart(a, {});
  EXPECT_FALSE(manager().exists("gone"));
  const auto left = bridges();
  EXPECT_EQ(std::count(left.begin(), left.end(), "br-" + gone.id.substr(0, 12)), 0);
  EXPECT_EQ(left.size(), 2U);
  kernel::NetlinkSocket route(NETLINK_ROUTE);
  EXPECT_FALSE(kernel::find_link(route, dead.endpoints[0].host_interface)) << "its container is unknown";
  EXPECT_TRUE(kernel::find_link(route, a.endpoints[0].host_interface));
  kernel::NetlinkSocket netfilter(NETLINK_NETFILTER);
  EXPECT_TRUE(kernel::list_elements(netfilter, kernel::NftFamily::inet, "bryo", "any4").empty());
  EXPECT_EQ(kernel::list_elements(netfilter, kernel::NftFamily::inet, "bryo", "bridges").size(), 2U);
}

TEST_F(RestoreLab, BridgesOfOthersAreLeftAlone) {
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  kernel::create_bridge(socket, {"br-0123456789ab", "", {2, 0, 0, 0, 0, 9}, 0});
  kernel::create_bridge(socket, {"theirs", "other network 1", {2, 0, 0, 0, 0, 8}, 0});
  start();
  manager().shutdown();
  EXPECT_EQ(bridges().size(), 2U);
  NetworkOptions options;
  options.bridge = "theirs";
  memory_.documents.clear();
  start(options);
  EXPECT_FALSE(manager().warnings().empty()) << "a bridge that is marked as somebody else's is not used";
}

TEST_F(RestoreLab, BridgeOfTheAdministratorIsUsedAsItIs) {
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  kernel::create_bridge(socket, {"admin0", "", {2, 0, 0, 0, 0, 9}, 0});
  const int index = kernel::find_link(socket, "admin0")->index;
  kernel::LinkChanges().add_address(index, IpPrefix::parse("10.9.0.7/24")).up(index).execute(socket, "bridge");
  NetworkOptions options;
  options.bridge = "admin0";
  start(options);
  const Container a = make_container("a", {"bridge"});
  EXPECT_EQ(a.ip(), "10.9.0.1");
  EXPECT_EQ(a.endpoints[0].gateway, "10.9.0.7");
  Server server(host(), "10.9.0.7", 80);
  EXPECT_TRUE(dial(a.netns.get(), "10.9.0.7", 80));
  manager().release_container(a.id);
  manager().shutdown();
  EXPECT_EQ(bridges(), std::vector<std::string>{"admin0"});
}

TEST_F(RestoreLab, ShutdownWithoutContainersLeavesNothing) {
  start();
  make_network("red");
  const Container a = make_container("a", {"red"});
  publish(a, 80, 8080);
  manager().shutdown();
  EXPECT_TRUE(has_table()) << "a container is still there";
  EXPECT_EQ(bridges().size(), 2U);
  manager().release_container(a.id);
  manager().shutdown();
  EXPECT_FALSE(has_table());
  EXPECT_TRUE(bridges().empty());
  die();
  start();
  EXPECT_TRUE(manager().exists("red")) << "networks are remembered all the same";
  EXPECT_EQ(bridges().size(), 2U);
}

TEST_F(RestoreLab, TablesOfOthersAreNotTouched) {
  ASSERT_EQ(std::system(
                "nft add table inet theirs; nft 'add chain inet theirs f { type filter hook forward priority 0; policy "
                "drop; }'; nft add rule inet theirs f ip daddr 203.0.113.1 accept"),
            0);
  const auto theirs = [] {
    FILE* pipe = ::popen("nft list table inet theirs", "r");
    char text[2048] = {};
    const std::size_t size = ::fread(text, 1, sizeof(text) - 1, pipe);
    ::pclose(pipe);
    return std::string(text, size);
  };
  const std::string before = theirs();
  start();
  EXPECT_EQ(theirs(), before);
  const auto warnings = manager().warnings();
  EXPECT_EQ(std::count_if(warnings.begin(), warnings.end(),
                          [](const std::string& w) { return w.find("inet theirs f") != std::string::npos; }),
            1);
  manager().shutdown();
  EXPECT_EQ(theirs(), before);
}

TEST_F(RestoreLab, LostBridgeComesBackWithItsPorts) {
  start();
  const Container a = make_container("a", {"bridge"});
  Server server(a.netns.get(), "0.0.0.0", 80);
  die();
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  kernel::delete_link(socket, kernel::find_link(socket, "bryo0")->index);
  restart(a, {});
  EXPECT_TRUE(dial(host(), a.ip(), 80));
}

TEST_F(RestoreLab, TwoEnginesWithOneTagAreRefused) {
  start();
  kernel::NetlinkSocket socket(NETLINK_NETFILTER);
  if (!kernel::find_table(socket, kernel::NftFamily::inet, "bryo")->owned)
    GTEST_SKIP() << "this kernel has no tables with owners (Linux 6.9)";
  NetworkManager second(options_, memory_);
  try {
    second.restore({});
    FAIL() << "two engines would fight for one table";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("another running program owns the table"), std::string::npos) << error.message();
  }
}

TEST_F(RestoreLab, CVE_2025_54388_OnOldKernelsTheTableIsLoadedAgain) {
  Firewall firewall("old", {.own = false});
  firewall.add_bridge({"br0"});
  const Translation port{Protocol::tcp, IpAddress::parse("0.0.0.0"), 80, IpAddress::parse("10.0.0.2"), 80};
  firewall.add(std::span(&port, 1));
  kernel::NetlinkSocket socket(NETLINK_NETFILTER);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(std::system("nft flush ruleset"), 0);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!kernel::find_table(socket, kernel::NftFamily::inet, "old") && std::chrono::steady_clock::now() < deadline)
      ::usleep(1000);
    EXPECT_EQ(kernel::list_elements(socket, kernel::NftFamily::inet, "old", "any4").size(), 1U);
  }
  firewall.remove(std::span(&port, 1));
  EXPECT_TRUE(kernel::list_elements(socket, kernel::NftFamily::inet, "old", "any4").empty());
  firewall.remove_bridge("br0");
  EXPECT_FALSE(kernel::find_table(socket, kernel::NftFamily::inet, "old"));
}

// A measurement, not a promise: prints what one container costs.
TEST_F(RestoreLab, CostOfAttachAndPublish) {
  constexpr int kCount = 100;
  start();
  make_network("red");
  using Clock = std::chrono::steady_clock;
  std::vector<Container> containers;
  std::vector<PublishResult> published;
  std::vector<double> attach;
  std::vector<double> names;
  std::vector<double> publication;
  std::vector<double> release;
  const auto measure = [](std::vector<double>& into, const auto& work) {
    const auto begin = Clock::now();
    work();
    into.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  };
  for (int i = 0; i < kCount; ++i) {
    Container& container = containers.emplace_back();
    EndpointRequest request;
    request.container_id = container.id;
    request.container_name = fmt::format("c{}", i);
    container.endpoints.push_back(manager().reserve("red", request));
    measure(attach, [&] { manager().attach(container.endpoints[0], container.netns.get(), 0, true); });
    measure(names, [&] { manager().serve_dns(container.id, container.netns.get(), {}); });
    measure(publication, [&] { published.push_back(publish(container, 80, static_cast<std::uint16_t>(20000 + i))); });
  }
  Server server(containers.back().netns.get(), "0.0.0.0", 80);
  EXPECT_TRUE(dial(host(), "172.18.0.1", 20000 + kCount - 1));
  for (const Container& container : containers) measure(release, [&] { manager().release_container(container.id); });
  const auto median = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  fmt::print(
      "per container, median of {}: attach {:.0f} us, serve_dns {:.0f} us, publish {:.0f} us, release {:.0f} us\n",
      kCount, median(attach), median(names), median(publication), median(release));
}

}  // namespace
}  // namespace bryo::network::lab

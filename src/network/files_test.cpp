// /etc/hosts, /etc/hostname and /etc/resolv.conf of containers.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "network/host_resolvers.hpp"
#include "network/hosts_file.hpp"
#include "network/resolv_conf.hpp"

namespace bryo::network {
namespace {

using Texts = std::vector<std::string>;

TEST(HostsFile, HasTheContainersOwnLineLast) {
  HostsFile contents;
  contents.hostname = "web";
  contents.domainname = "example.com";
  contents.addresses = {"172.18.0.2", "fd00::2"};
  contents.extra = {parse_extra_host("db:10.0.0.9", "")};
  const std::string text = hosts_file(contents);
  EXPECT_TRUE(text.starts_with("127.0.0.1\tlocalhost\n"));
  EXPECT_TRUE(text.ends_with("10.0.0.9\tdb\n172.18.0.2\tweb.example.com web\nfd00::2\tweb.example.com web\n")) << text;
}

TEST(HostsFile, ExtraHostsAsDockerReadsThem) {
  EXPECT_EQ(parse_extra_host("h:10.0.0.1", "").address, "10.0.0.1");
  EXPECT_EQ(parse_extra_host("h=10.0.0.1", "").address, "10.0.0.1");
  EXPECT_EQ(parse_extra_host("h:::1", "").address, "::1");
  EXPECT_EQ(parse_extra_host("h:[fd00::1]", "").address, "fd00::1");
  EXPECT_EQ(parse_extra_host("host.docker.internal:host-gateway", "172.17.0.1").address, "172.17.0.1");
  for (const char* wrong : {"h", ":10.0.0.1", "h:", "h:10.0.0", "h:host-gateway", "h h:10.0.0.1", "-h:10.0.0.1"})
    EXPECT_THROW(parse_extra_host(wrong, ""), Error) << wrong;
}

TEST(HostsFile, CVE_2022_4318_NoLineOfTheCallersChoice) {
  for (const std::string& name :
       {std::string("a\n1.2.3.4 bank"), std::string("a b"), std::string("a\tb"), std::string("a#b"),
        std::string("a\0b", 3), std::string("a\rb"), std::string("a:b")}) {
    HostsFile contents;
    contents.hostname = name;
    contents.addresses = {"10.0.0.2"};
    EXPECT_THROW(hosts_file(contents), Error);
    EXPECT_THROW(hostname_file(name), Error);
    EXPECT_THROW(parse_extra_host(name + ":10.0.0.1", ""), Error);
    contents = {};
    contents.links = {{"10.0.0.2", {name}}};
    EXPECT_THROW(hosts_file(contents), Error);
  }
  HostsFile contents;
  contents.hostname = "good";
  contents.addresses = {"10.0.0.2\n1.2.3.4 bank"};
  EXPECT_THROW(hosts_file(contents), Error);
  EXPECT_THROW(hostname_file(std::string(65, 'a')), Error);
  EXPECT_EQ(hostname_file("web"), "web\n");
}

TEST(ResolvConf, ReadsWhatResolversRead) {
  const ResolvConf conf = parse_resolv_conf(
      "# comment\nnameserver 192.0.2.1 # first\n nameserver\t2001:db8::1\nnameserver nonsense\nnameserver "
      "fe80::1%eth0\n"
      "domain old.example\nsearch example.com  example.org\noptions ndots:2 rotate\nsortlist x\nnameserver");
  EXPECT_EQ(conf.servers, (Texts{"192.0.2.1", "2001:db8::1", "fe80::1"}));
  EXPECT_EQ(conf.search, (Texts{"example.com", "example.org"}));
  EXPECT_EQ(conf.options, (Texts{"ndots:2", "rotate"}));
}

TEST(ResolvConf, ContainersGetServersThatTheyCanReach) {
  const ResolvConf host{{"127.0.0.53", "::1", "192.0.2.1", "2001:db8::1", "fe80::1"}, {"example.com"}, {"rotate"}};
  EXPECT_EQ(container_resolv_conf(host, {}, false).servers, Texts{"192.0.2.1"});
  EXPECT_EQ(container_resolv_conf(host, {}, true).servers, (Texts{"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(container_resolv_conf({{"127.0.0.53"}, {}, {}}, {}, false).servers, (Texts{"8.8.8.8", "8.8.4.4"}));
  const ResolvConf asked{{"127.0.0.1"}, {"."}, {"ndots:5"}};
  const ResolvConf out = container_resolv_conf(host, asked, false);
  EXPECT_EQ(out.servers, Texts{"127.0.0.1"}) << "what was asked for is not filtered";
  EXPECT_TRUE(out.search.empty());
  EXPECT_EQ(out.options, Texts{"ndots:5"});
}

TEST(ResolvConf, EmbeddedServerComesWithNdotsZero) {
  const ResolvConf host{{"192.0.2.1"}, {"example.com"}, {"ndots:3", "rotate"}};
  EXPECT_EQ(resolv_conf_file(embedded_resolv_conf(host, {})),
            "nameserver 127.0.0.11\nsearch example.com\noptions rotate ndots:0\n");
  EXPECT_EQ(resolv_conf_file(embedded_resolv_conf(host, {{"9.9.9.9"}, {"a.b"}, {"ndots:1"}})),
            "nameserver 127.0.0.11\nsearch a.b\noptions ndots:1\n");
}

TEST(ResolvConf, CVE_2022_4318_NoLineOfTheCallersChoice) {
  for (const std::string& value : {std::string("a\nnameserver 6.6.6.6"), std::string("a b"), std::string("a\r"),
                                   std::string(), std::string("a\0b", 3), std::string(300, 'a')}) {
    EXPECT_THROW(resolv_conf_file({{"1.1.1.1"}, {value}, {}}), Error);
    EXPECT_THROW(resolv_conf_file({{"1.1.1.1"}, {}, {value}}), Error);
    EXPECT_THROW(resolv_conf_file({{value}, {}, {}}), Error);
  }
}

class Resolvers : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    const auto path = directory_ / name;
    std::ofstream(path) << text;
    return path;
  }
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "bryo-resolvers-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(Resolvers, LookBehindTheStub) {
  const std::string path = write("a", "nameserver 127.0.0.53\n");
  const std::string behind = write("b", "nameserver 192.0.2.7\n");
  EXPECT_EQ(HostResolvers(path, behind).current().servers, Texts{"192.0.2.7"});
  EXPECT_EQ(HostResolvers(path, behind).own().servers, Texts{"127.0.0.53"});
  EXPECT_FALSE(HostResolvers(path, behind).upstreams({})[0].from_host);
  const auto upstreams = HostResolvers(path, "/nonexistent").upstreams({});
  ASSERT_EQ(upstreams.size(), 1U);
  EXPECT_TRUE(upstreams[0].from_host);
  EXPECT_FALSE(HostResolvers(path, behind).upstreams({"127.0.0.1"})[0].from_host) << "the container's own loopback";
}

TEST_F(Resolvers, ARelayAnswersForTheHosts) {
  const std::string path = write("a", "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch example.org\n");
  const HostResolvers resolvers(path, "/nonexistent", "10.0.2.3");
  EXPECT_EQ(resolvers.current().servers, Texts{"10.0.2.3"});
  EXPECT_EQ(resolvers.current().search, Texts{"example.org"});
  EXPECT_EQ(resolvers.upstreams({}).size(), 1U);
  EXPECT_FALSE(resolvers.upstreams({})[0].from_host);
  EXPECT_EQ(resolvers.upstreams({"192.0.2.7"})[0].address.str(), "192.0.2.7") << "--dns of a container";
  EXPECT_EQ(resolvers.own().servers.size(), 2U) << "the host's own network has the host's file";
}

TEST_F(Resolvers, NoticeChanges) {
  const std::string path = write("a", "nameserver 192.0.2.1\n");
  const HostResolvers resolvers(path, "/nonexistent");
  EXPECT_EQ(resolvers.current().servers, Texts{"192.0.2.1"});
  std::filesystem::remove(path);
  EXPECT_TRUE(resolvers.current().servers.empty());
  write("a", "nameserver 192.0.2.22\n");
  EXPECT_EQ(resolvers.current().servers, Texts{"192.0.2.22"});
}

}  // namespace
}  // namespace bryo::network

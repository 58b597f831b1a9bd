#include "rootless/command/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace bryo::rootless::command {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Options parse(std::vector<std::string> words) {
  words.push_back("true");
  return Options::parse(words);
}

std::string refusal(std::vector<std::string> words) {
  try {
    parse(std::move(words));
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(RootlessOptions, DefaultsAreRootlesskits) {
  const Options options = parse({});
  EXPECT_EQ(options.network, NetworkKind::host);
  EXPECT_EQ(options.port_driver, PortDriver::none);
  EXPECT_EQ(options.copy_up_mode, CopyUpMode::symlinks);
  EXPECT_EQ(options.propagation, "rprivate");
  EXPECT_EQ(options.user_network.mtu, 65520);
  EXPECT_EQ(options.user_network.cidr, "10.0.2.0/24");
  EXPECT_EQ(options.user_network.interface, "tap0");
  EXPECT_TRUE(options.user_network.host_loopback);
  EXPECT_FALSE(options.pidns || options.utsns || options.ipcns || options.cgroupns || options.detach_netns);
}

TEST(RootlessOptions, LineOfTheSeed) {
  const Options options = Options::parse({"--net=vpnkit", "sh", "-ec", "mount -t tmpfs none /run/docker; dockerd"});
  EXPECT_EQ(options.user_network.driver, NetworkDriver::vpnkit);
  EXPECT_THAT(options.command, ElementsAre("sh", "-ec", "mount -t tmpfs none /run/docker; dockerd"));
}

// contrib/dockerd-rootless.sh of docker.io.
TEST(RootlessOptions, LineOfDockersScript) {
  const Options options =
      Options::parse({"--net=slirp4netns", "--mtu=65520", "--slirp4netns-sandbox=auto", "--slirp4netns-seccomp=auto",
                      "--disable-host-loopback", "--port-driver=builtin", "--copy-up=/etc", "--copy-up=/run",
                      "--propagation=rslave", "/usr/bin/dockerd-rootless.sh", "--experimental"});
  EXPECT_EQ(options.user_network.driver, NetworkDriver::slirp4netns);
  EXPECT_FALSE(options.user_network.host_loopback);
  EXPECT_EQ(options.port_driver, PortDriver::builtin);
  EXPECT_THAT(options.copy_up, ElementsAre("/etc", "/run"));
  EXPECT_EQ(options.propagation, "rslave");
  EXPECT_THAT(options.command, ElementsAre("/usr/bin/dockerd-rootless.sh", "--experimental"));
}

TEST(RootlessOptions, FlagsBehindTheCommandAreTheCommands) {
  EXPECT_FALSE(Options::parse({"sh", "--pidns"}).pidns);
  EXPECT_THAT(Options::parse({"--pidns", "--", "--odd"}).command, ElementsAre("--odd"));
}

TEST(RootlessOptions, ValuesAfterEqualsSignOrAsWord) {
  EXPECT_EQ(parse({"--net", "none"}).network, NetworkKind::none);
  EXPECT_EQ(parse({"-net=none"}).network, NetworkKind::none);
  EXPECT_FALSE(parse({"--pidns=false"}).pidns);
}

TEST(RootlessOptions, BothNamesOfTheBuiltinNetwork) {
  for (const char* name : {"--net=slirp", "--net=builtin"}) {
    const Options options = parse({name});
    EXPECT_EQ(options.network, NetworkKind::user_mode);
    EXPECT_EQ(options.user_network.driver, NetworkDriver::builtin);
  }
}

TEST(RootlessOptions, Ipv6IsOnUnlessSlirp4netnsWasNotAsked) {
  EXPECT_TRUE(parse({"--net=slirp"}).user_network.ipv6);
  EXPECT_FALSE(parse({"--net=slirp", "--ipv6=false"}).user_network.ipv6);
  EXPECT_FALSE(parse({"--net=slirp4netns"}).user_network.ipv6);
  EXPECT_TRUE(parse({"--net=slirp4netns", "--ipv6"}).user_network.ipv6);
}

TEST(RootlessOptions, PublishedPorts) {
  const Options options =
      parse({"--net=slirp", "--port-driver=builtin", "-p", "127.0.0.1:8080:80/tcp", "-p=53:53/udp"});
  ASSERT_EQ(options.publish.size(), 2U);
  EXPECT_EQ(options.publish[0].parent_ip, "127.0.0.1");
  EXPECT_EQ(options.publish[1].proto, "udp");
}

TEST(RootlessOptions, RefusalsNameTheFlag) {
  EXPECT_THAT(refusal({"--nosuch"}), HasSubstr("unknown flag --nosuch"));
  EXPECT_THAT(refusal({"--net=bogus"}), HasSubstr("--net=bogus"));
  EXPECT_THAT(refusal({"--mtu=70000"}), HasSubstr("--mtu=70000"));
  EXPECT_THAT(refusal({"--cidr=10.0.2.0/30"}), HasSubstr("--cidr"));
  EXPECT_THAT(refusal({"--cidr=fd00::/64"}), HasSubstr("--cidr"));
  EXPECT_THAT(refusal({"--ifname=averylongnameindeed"}), HasSubstr("--ifname"));
  EXPECT_THAT(refusal({"--copy-up=etc"}), HasSubstr("--copy-up=etc"));
  EXPECT_THAT(refusal({"--copy-up=/"}), HasSubstr("--copy-up=/"));
  EXPECT_THAT(refusal({"--copy-up-mode=magic"}), HasSubstr("tmpfs+symlink"));
  EXPECT_THAT(refusal({"--propagation=shared"}), HasSubstr("rslave"));
  EXPECT_THAT(refusal({"--reaper=maybe"}), HasSubstr("auto"));
  EXPECT_THAT(refusal({"--subid-source=x"}), HasSubstr("dynamic"));
  EXPECT_THAT(refusal({"--pidns=perhaps"}), HasSubstr("perhaps"));
  EXPECT_THAT(refusal({"--net=lxc-user-nic"}), HasSubstr("not supported"));
  EXPECT_THAT(refusal({"--port-driver=implicit"}), HasSubstr("not supported"));
  EXPECT_THAT(refusal({"--slirp4netns-sandbox=false"}), HasSubstr("confined"));
  EXPECT_THAT(refusal({"--slirp4netns-binary=/tmp/x"}), HasSubstr("/tmp/x"));
}

TEST(RootlessOptions, WhatDoesNotFitTogether) {
  EXPECT_THAT(refusal({"--port-driver=builtin"}), HasSubstr("--net"));
  EXPECT_THAT(refusal({"--net=slirp", "-p", "80:80/tcp"}), HasSubstr("--port-driver"));
  EXPECT_THAT(refusal({"--net=slirp", "--port-driver=slirp4netns"}), HasSubstr("--net=slirp4netns"));
  EXPECT_THAT(refusal({"--detach-netns"}), HasSubstr("--net"));
  EXPECT_THAT(refusal({"--evacuate-cgroup2=x"}), HasSubstr("--pidns"));
}

TEST(RootlessOptions, ACommandIsNeededExceptForHelpAndVersion) {
  EXPECT_THROW(Options::parse({}), Error);
  EXPECT_THROW(Options::parse({"--pidns"}), Error);
  EXPECT_THROW(Options::parse({"--net"}), Error);
  EXPECT_TRUE(Options::parse({"--help"}).help);
  EXPECT_TRUE(Options::parse({"-v"}).version);
}

TEST(RootlessOptions, HelpNamesEveryFlag) {
  const std::string text = help_text();
  for (const char* flag : {"--net VALUE", "--copy-up VALUE", "-p, --publish VALUE", "--pidns", "--state-dir VALUE"})
    EXPECT_THAT(text, HasSubstr(flag));
}

}  // namespace
}  // namespace bryo::rootless::command

#include "rootless/command/port_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace bryo::rootless::command {
namespace {

using testing::ElementsAre;

std::vector<std::string> listens_at(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& address : PortSpec::parse(text).listen_addresses()) out.push_back(address.str());
  return out;
}

TEST(PortSpec, AllForms) {
  EXPECT_EQ(PortSpec::parse("127.0.0.1:8080:80/tcp"), (PortSpec{"tcp", "127.0.0.1", 8080, 80, ""}));
  EXPECT_EQ(PortSpec::parse("8080:80/udp"), (PortSpec{"udp", "", 8080, 80, ""}));
  EXPECT_EQ(PortSpec::parse("0.0.0.0:1:10.0.2.100:2/tcp4"), (PortSpec{"tcp4", "0.0.0.0", 1, 2, "10.0.2.100"}));
  EXPECT_EQ(PortSpec::parse("[::1]:8080:[fd00::2]:80/tcp6"), (PortSpec{"tcp6", "::1", 8080, 80, "fd00::2"}));
  EXPECT_EQ(PortSpec::parse("8080:10.0.2.100:80/tcp"), (PortSpec{"tcp", "", 8080, 80, "10.0.2.100"}));
}

TEST(PortSpec, WritesWhatItReads) {
  for (const char* text : {"127.0.0.1:8080:80/tcp", "8080:80/udp", "[::1]:8080:[fd00::2]:80/tcp6"})
    EXPECT_EQ(PortSpec::parse(text).str(), text);
}

TEST(PortSpec, RefusesTheRest) {
  for (const char* text :
       {"", "/", "/tcp", "80", "80:80", "80/tcp", "0:80/tcp", "80:0/tcp", "65536:1/tcp", "80:80/sctp", "80:80/",
        "1.2.3:80:80/tcp", "127.0.0.1:80/tcp", "127.0.0.1:80:80/tcp6", "[::1]:80:80/tcp4",
        "127.0.0.1:80:127.0.0.1:80:80/tcp", "80:x:80/tcp", "-1:80/tcp", "host:80:80/tcp"})
    EXPECT_THROW(PortSpec::parse(text), Error) << text;
}

TEST(PortSpec, WithoutAnAddressBothFamiliesListen) {
  EXPECT_THAT(listens_at("80:80/tcp"), ElementsAre("0.0.0.0", "::"));
  EXPECT_THAT(listens_at("0.0.0.0:80:80/tcp"), ElementsAre("0.0.0.0", "::"));
  EXPECT_THAT(listens_at("0.0.0.0:80:80/tcp4"), ElementsAre("0.0.0.0"));
  EXPECT_THAT(listens_at("80:80/udp6"), ElementsAre("::"));
  EXPECT_THAT(listens_at("127.0.0.1:80:80/tcp"), ElementsAre("127.0.0.1"));
}

TEST(PortSpec, TheTargetIsLoopbackUnlessNamed) {
  EXPECT_EQ(PortSpec::parse("80:80/tcp").target(), "127.0.0.1");
  EXPECT_EQ(PortSpec::parse("80:80/tcp6").target(), "::1");
  EXPECT_EQ(PortSpec::parse("80:10.0.2.100:80/tcp").target(), "10.0.2.100");
}

TEST(PortSpec, Conflicts) {
  const auto conflict = [](const char* a, const char* b) {
    return PortSpec::parse(a).conflicts_with(PortSpec::parse(b));
  };
  EXPECT_TRUE(conflict("80:80/tcp", "127.0.0.1:80:81/tcp"));
  EXPECT_TRUE(conflict("127.0.0.1:80:80/tcp", "0.0.0.0:80:81/tcp4"));
  EXPECT_FALSE(conflict("80:80/tcp", "80:80/udp"));
  EXPECT_FALSE(conflict("80:80/tcp4", "80:80/tcp6"));
  EXPECT_FALSE(conflict("127.0.0.1:80:80/tcp", "127.0.0.2:80:80/tcp"));
  EXPECT_FALSE(conflict("80:80/tcp", "81:80/tcp"));
}

TEST(PortSpec, JsonIsRootlesskits) {
  const auto spec = PortSpec::parse("127.0.0.1:8081:10.0.2.100:80/tcp");
  EXPECT_EQ(json::serialize(json::encode(spec)),
            R"({"proto":"tcp","parentIP":"127.0.0.1","parentPort":8081,"childPort":80,"childIP":"10.0.2.100"})");
  EXPECT_EQ(json::decode<PortSpec>(json::encode(spec)), spec);
  EXPECT_THROW(json::decode<PortSpec>(json::parse("{}")).check(), Error);
}

}  // namespace
}  // namespace bryo::rootless::command

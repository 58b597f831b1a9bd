// Which bindings and ports does a request to withdraw some name?
#include "engine/port_changes.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace bryo::engine {
namespace {

// What is left of the bindings, and which ports go, as text.
std::string removal(const Record& record, const std::vector<network::PublishedPort>& published, const PortMap& wanted) {
  const auto out = resolve_removal(record, published, wanted);
  std::string text;
  for (const auto& [key, bindings] : out.bindings)
    for (const auto& binding : bindings) text += fmt::format("{}:{}:{} ", binding.host_ip, binding.host_port, key);
  text += "|";
  for (const auto& port : out.ports)
    text += fmt::format(" {}:{}:{}/{}", port.host_ip, port.host_port, port.container_port, port.protocol);
  return text;
}

TEST(PortRemoval, NamesWholeBindings) {
  Record record;
  record.name = "web";
  record.host_config.port_bindings = {
      {"80/tcp", {{"", "8080"}, {"127.0.0.1", "8081"}, {"", ""}, {"", "9000-9010"}}}, {"53/udp", {{"", "53"}}}};
  const std::vector<network::PublishedPort> ports = {
      {"udp", 53, "0.0.0.0", 53, "", true},   {"udp", 53, "::", 53, "", true},
      {"tcp", 80, "0.0.0.0", 8080, "", true}, {"tcp", 80, "::", 8080, "", true},
      {"tcp", 80, "127.0.0.1", 8081, "", false}, {"tcp", 80, "0.0.0.0", 32768, "", true},
      {"tcp", 80, "::", 32768, "", true},     {"tcp", 80, "0.0.0.0", 9001, "", true},
      {"tcp", 80, "::", 9001, "", true}};
  const std::string dns = ":53:53/udp ";
  EXPECT_EQ(removal(record, ports, {{"80", {{"", "8080"}}}}),
            dns + "127.0.0.1:8081:80/tcp ::80/tcp :9000-9010:80/tcp | 0.0.0.0:8080:80/tcp :::8080:80/tcp");
  EXPECT_EQ(removal(record, ports, {{"80/tcp", {{"127.0.0.1", ""}}}}),
            dns + ":8080:80/tcp ::80/tcp :9000-9010:80/tcp | 127.0.0.1:8081:80/tcp");
  EXPECT_EQ(removal(record, ports, {{"80/tcp", {{"", "32768"}}}}),
            dns + ":8080:80/tcp 127.0.0.1:8081:80/tcp :9000-9010:80/tcp | 0.0.0.0:32768:80/tcp :::32768:80/tcp");
  EXPECT_EQ(removal(record, ports, {{"80/tcp", {{"", "9001"}}}}),
            dns + ":8080:80/tcp 127.0.0.1:8081:80/tcp ::80/tcp | 0.0.0.0:9001:80/tcp :::9001:80/tcp");
  EXPECT_EQ(removal(record, ports, {{"53/udp", {}}}).substr(0, 14), ":8080:80/tcp 1");
  EXPECT_EQ(removal(record, {}, {{"80/tcp", {}}}), dns + "|") << "not running: the bindings alone";
}

TEST(PortRemoval, SaysWhatCannotBeRemoved) {
  Record record;
  record.name = "web";
  record.host_config.port_bindings = {{"80/tcp", {{"", "8080"}}}};
  const std::vector<network::PublishedPort> ports = {{"tcp", 80, "0.0.0.0", 8080, "", true},
                                                     {"tcp", 80, "::", 8080, "", true},
                                                     {"tcp", 443, "0.0.0.0", 32768, "", true}};
  const auto refusal = [&](const PortMap& wanted) {
    try {
      resolve_removal(record, ports, wanted);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.message());
    }
  };
  EXPECT_EQ(refusal({{"80/tcp", {{"", "8081"}}}}), "container web does not publish :8081:80/tcp");
  EXPECT_EQ(refusal({{"80/udp", {{"", "8080"}}}}), "container web does not publish :8080:80/udp");
  EXPECT_THAT(refusal({{"80/tcp", {{"0.0.0.0", "8080"}}}}), testing::HasSubstr("every address of the host at once"));
  EXPECT_THAT(refusal({{"443/tcp", {{"", "32768"}}}}), testing::HasSubstr("--publish-all"));
}

}  // namespace
}  // namespace bryo::engine

#include "rootless/usernet/config.hpp"

#include <fmt/format.h>

#include <string_view>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "rootless/usernet/addresses.hpp"

namespace bryo::rootless::usernet {
namespace {

template <typename Number>
Number number(std::string_view name, std::string_view text, Number least, Number most) {
  const auto value = parse_integer<Number>(text);
  if (!value || *value < least || *value > most)
    fail(ErrorKind::invalid_argument, "{}={}: expected a number from {} to {}", name, printable(text), least, most);
  return *value;
}

}  // namespace

std::vector<std::string> arguments_of(const Config& config) {
  std::vector<std::string> out = {fmt::format("--mtu={}", config.mtu), "--cidr=" + config.cidr,
                                  "--resolv-conf=" + config.resolv_conf};
  if (config.ipv6) out.emplace_back("--ipv6");
  if (config.host_loopback) out.emplace_back("--host-loopback");
  for (const std::uint16_t port : config.host_ports) out.push_back(fmt::format("--host-port={}", port));
  return out;
}

Config parse_arguments(std::span<char* const> arguments) {
  Config config;
  config.ipv6 = false;
  for (const std::string_view argument : arguments) {
    const auto pair = split_once(argument, '=').value_or(std::pair(argument, std::string_view()));
    const auto& [name, value] = pair;
    if (argument == "--ipv6")
      config.ipv6 = true;
    else if (argument == "--host-loopback")
      config.host_loopback = true;
    else if (name == "--mtu")
      config.mtu = number<int>(name, value, kSmallestMtu, kLargestMtu);
    else if (name == "--cidr")
      config.cidr = value;
    else if (name == "--resolv-conf" && value.starts_with('/'))
      config.resolv_conf = value;
    else if (name == "--host-port")
      config.host_ports.push_back(number<std::uint16_t>(name, value, 1, 65535));
    else
      fail(ErrorKind::invalid_argument, "unknown argument {}", printable(argument));
  }
  user_network_addresses(config.cidr);  // throws when it is no such network
  return config;
}

}  // namespace bryo::rootless::usernet

#include "rootless/usernet/resolver_file.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::string_view kKeyword = "nameserver";

// The first word after the keyword; "" on other lines.
std::string_view server_of(std::string_view line) {
  if (!line.starts_with(kKeyword) || line.size() == kKeyword.size()) return {};
  if (line[kKeyword.size()] != ' ' && line[kKeyword.size()] != '\t') return {};
  const std::string_view rest = trim(line.substr(kKeyword.size()));
  return rest.substr(0, rest.find_first_of(" \t"));
}

std::pair<std::string_view, std::string_view> split_zone(std::string_view server) {
  return split_once(server, '%').value_or(std::pair(server, std::string_view()));
}

}  // namespace

std::string resolver_file(std::string_view host_file, const UserNetworkAddresses& addresses,
                          const std::function<unsigned(const std::string&)>& interface_index) {
  constexpr int kMostServers = 3;  // MAXNS of the C library
  std::string out;
  int count = 0;
  for (const std::string_view line : split(host_file, '\n')) {
    const auto [text, zone] = split_zone(server_of(line));
    const auto address = kernel::IpAddress::try_parse(text);
    if (!address || *address == addresses.dns || *address == addresses.dns6) continue;
    if (++count > kMostServers) break;
    out += fmt::format("{} {}", kKeyword, text);
    if (!zone.empty()) out += fmt::format("%{}", interface_index(std::string(zone)));
    out += '\n';
  }
  return out;
}

std::vector<NameServer> name_servers(std::string_view resolver_file) {
  std::vector<NameServer> out;
  for (const std::string_view line : split(resolver_file, '\n')) {
    const auto [text, zone] = split_zone(server_of(line));
    if (const auto address = kernel::IpAddress::try_parse(text))
      out.push_back({*address, parse_integer<unsigned>(zone).value_or(0)});
  }
  if (out.empty()) out.push_back({kernel::IpAddress::parse("127.0.0.1"), 0});
  return out;
}

}  // namespace bryo::rootless::usernet

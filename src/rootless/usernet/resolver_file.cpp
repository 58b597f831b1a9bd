#include "rootless/usernet/resolver_file.hpp"

#include "base/strings.hpp"

namespace bryo::rootless::usernet {

std::string resolver_file(std::string_view host_file, const UserNetworkAddresses& addresses) {
  constexpr int kMostServers = 3;  // MAXNS of the C library
  std::string out;
  int count = 0;
  for (const std::string_view line : split(host_file, '\n')) {
    constexpr std::string_view kKeyword = "nameserver";
    if (!line.starts_with(kKeyword) || line.size() == kKeyword.size()) continue;
    if (line[kKeyword.size()] != ' ' && line[kKeyword.size()] != '\t') continue;
    std::string_view server = trim(line.substr(kKeyword.size()));
    server = server.substr(0, server.find_first_of(" \t"));
    // "fe80::1%eth0": the zone is for the stack's own look-up.
    const auto address = kernel::IpAddress::try_parse(server.substr(0, server.find('%')));
    if (!address || *address == addresses.dns || *address == addresses.dns6) continue;
    if (++count > kMostServers) break;
    out += "nameserver ";
    out += server;
    out += '\n';
  }
  return out;
}

}  // namespace bryo::rootless::usernet

// What the stack reads as its /etc/resolv.conf, from the host's (resolv.conf(5)). Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "rootless/usernet/addresses.hpp"

namespace bryo::rootless::usernet {

// Only the name servers, at most as many as the C library asks; our own address, which a /etc that was copied up for
// the namespace may name, would be a loop and is left out. Zones ("fe80::1%eth0") become the interface's number.
std::string resolver_file(std::string_view host_file, const UserNetworkAddresses& addresses,
                          const std::function<unsigned(const std::string&)>& interface_index);

struct NameServer {
  kernel::IpAddress address;
  unsigned zone = 0;
  bool operator==(const NameServer&) const = default;
};
// Of such a file; the local machine when it names none, as resolv.conf(5) has it.
std::vector<NameServer> name_servers(std::string_view resolver_file);

}  // namespace bryo::rootless::usernet

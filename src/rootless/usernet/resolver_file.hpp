// What the stack reads as its /etc/resolv.conf, from the host's (resolv.conf(5)). Pure.
#pragma once

#include <string>
#include <string_view>

#include "rootless/usernet/addresses.hpp"

namespace bryo::rootless::usernet {

// Only the name servers, at most as many as the C library asks; our own address, which a /etc that was copied up for
// the namespace may name, would be a loop and is left out.
std::string resolver_file(std::string_view host_file, const UserNetworkAddresses& addresses);

}  // namespace bryo::rootless::usernet

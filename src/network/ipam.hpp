// Addresses: which subnet does a new network get, and which address a new endpoint? Pure bookkeeping, not thread-safe:
// NetworkManager's lock guards it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sockets_address.hpp"
#include "network/config.hpp"
#include "network/interval_set.hpp"
#include "network/options.hpp"

namespace bryo::network {

// The addresses of one subnet. The first and (IPv4, unless /31 or /32) the last belong to nobody.
class SubnetAddresses {
 public:
  // `range` is the part that take() chooses from.
  SubnetAddresses(kernel::IpPrefix subnet, std::optional<kernel::IpPrefix> range);

  const kernel::IpPrefix& subnet() const { return subnet_; }
  // The lowest free address of the range; nullopt when there is none.
  std::optional<kernel::IpAddress> take();
  // false: somebody has it, or it is reserved. The address must be in the subnet.
  bool take(const kernel::IpAddress& address);
  void give_back(const kernel::IpAddress& address);
  // The address that a gateway gets when none is asked for.
  kernel::IpAddress default_gateway() const;

 private:
  kernel::IpPrefix subnet_;
  kernel::IpPrefix range_;
  IntervalSet taken_;
};

// Cuts free subnets out of the default pools.
class SubnetChooser {
 public:
  // `pools` empty: Docker's for IPv4. `site` seeds the unique local /48 (RFC 4193) that IPv6 subnets come from when no
  // pool has one. Throws Error{invalid_argument} on a malformed pool.
  SubnetChooser(const std::vector<AddressPool>& pools, std::string_view site);
  // The first subnet that overlaps nothing in `taken`. Throws Error{exhausted} in Docker's words.
  kernel::IpPrefix choose(kernel::Family family, const std::vector<kernel::IpPrefix>& taken) const;

 private:
  struct Pool {
    kernel::IpPrefix base;
    int size = 0;
  };
  std::vector<Pool> pools_;
};

// Checks what a request says about addresses and writes it in canonical form: subnets without host bits, ranges,
// gateways and auxiliary addresses inside their subnet, no two subnets that overlap. Throws Error{invalid_argument}.
std::vector<IpamPool> checked_pools(const std::vector<IpamPool>& pools, bool enable_ipv6);

// 02:42 and the four bytes of the IPv4 address: an address that is given away again keeps its MAC, so that no
// neighbour's ARP table is stale. Without an IPv4 address: 02:42 and the last four bytes of the IPv6 one.
kernel::MacAddress mac_of(const kernel::IpAddress& address);

}  // namespace bryo::network

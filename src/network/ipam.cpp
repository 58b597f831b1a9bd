#include "network/ipam.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::network {

using kernel::Family;
using kernel::IpAddress;
using kernel::IpPrefix;
using kernel::Uint128;

namespace {

constexpr int kUlaSubnetLength = 64;
// A bound on the search, so that a pool of 2^64 subnets that are all taken cannot hang a request.
constexpr int kMaximumCandidates = 100000;

// Docker's local pools (moby, "default-address-pools").
const std::vector<AddressPool>& docker_pools() {
  static const std::vector<AddressPool> pools{{"172.17.0.0/16", 16}, {"172.18.0.0/16", 16}, {"172.19.0.0/16", 16},
                                              {"172.20.0.0/14", 16}, {"172.24.0.0/14", 16}, {"172.28.0.0/14", 16},
                                              {"192.168.0.0/16", 20}};
  return pools;
}

IpPrefix unique_local_prefix(std::string_view site) {
  const std::string hex = Digest::of(site).hex();
  Uint128 value = 0xfd;
  for (std::size_t i = 0; i < 5; ++i) {
    unsigned byte = 0;
    std::from_chars(hex.data() + i * 2, hex.data() + i * 2 + 2, byte, 16);
    value = value << 8 | byte;
  }
  return IpPrefix(IpAddress::v6(value << 80), 48);
}

void require_inside(const IpPrefix& subnet, const IpAddress& address, std::string_view what) {
  if (!subnet.contains(address))
    fail(ErrorKind::invalid_argument, "{} {} is not in subnet {}", what, address.str(), subnet.str());
}

IpamPool checked_pool(const IpamPool& pool) {
  IpamPool out = pool;
  const auto subnet = IpPrefix::try_parse(pool.subnet);
  if (!subnet) fail(ErrorKind::invalid_argument, "invalid subnet {}: invalid CIDR address", printable(pool.subnet, 64));
  const IpPrefix canonical = subnet->canonical();
  out.subnet = canonical.str();
  if (!pool.ip_range.empty()) {
    const auto range = IpPrefix::try_parse(pool.ip_range);
    if (!range || !canonical.contains(range->canonical()))
      fail(ErrorKind::invalid_argument, "invalid ip-range {}: it is not a part of subnet {}",
           printable(pool.ip_range, 64), out.subnet);
    out.ip_range = range->canonical().str();
  }
  if (!pool.gateway.empty()) {
    const IpAddress gateway = IpAddress::parse(pool.gateway);
    require_inside(canonical, gateway, "gateway");
    out.gateway = gateway.str();
  }
  for (auto& [name, text] : out.aux_addresses) {
    const IpAddress address = IpAddress::parse(text);
    require_inside(canonical, address, "auxiliary address");
    text = address.str();
  }
  return out;
}

}  // namespace

SubnetAddresses::SubnetAddresses(IpPrefix subnet, std::optional<IpPrefix> range)
    : subnet_(subnet), range_(range.value_or(subnet)) {
  const int host_bits = subnet.address().bits() - subnet.length();
  if (host_bits < 2) return;
  taken_.insert(subnet.first().value());
  if (subnet.family() == Family::v4) taken_.insert(subnet.last().value());
}

std::optional<IpAddress> SubnetAddresses::take() {
  const auto value = taken_.lowest_free(range_.first().value(), range_.last().value());
  if (!value) return std::nullopt;
  taken_.insert(*value);
  return range_.first().plus(*value - range_.first().value());
}

bool SubnetAddresses::take(const IpAddress& address) { return taken_.insert(address.value()); }

void SubnetAddresses::give_back(const IpAddress& address) {
  if (subnet_.contains(address)) taken_.erase(address.value());
}

IpAddress SubnetAddresses::default_gateway() const {
  return subnet_.address().bits() - subnet_.length() < 2 ? subnet_.first() : subnet_.first().plus(1);
}

SubnetChooser::SubnetChooser(const std::vector<AddressPool>& pools, std::string_view site) {
  for (const AddressPool& pool : pools.empty() ? docker_pools() : pools) {
    const IpPrefix base = IpPrefix::parse(pool.base).canonical();
    if (pool.size < base.length() || pool.size > base.address().bits())
      fail(ErrorKind::invalid_argument, "default address pool {}: size {} is not between {} and {}", pool.base,
           pool.size, base.length(), base.address().bits());
    pools_.push_back({base, pool.size});
  }
  const bool has_v6 = std::any_of(pools_.begin(), pools_.end(), [](const Pool& p) { return p.base.address().is_v6(); });
  if (!has_v6) pools_.push_back({unique_local_prefix(site), kUlaSubnetLength});
}

IpPrefix SubnetChooser::choose(Family family, const std::vector<IpPrefix>& taken) const {
  int candidates = 0;
  for (const Pool& pool : pools_) {
    if (pool.base.family() != family) continue;
    IpAddress at = pool.base.first();
    while (pool.base.contains(at) && ++candidates < kMaximumCandidates) {
      const IpPrefix candidate(at, pool.size);
      const auto clash =
          std::find_if(taken.begin(), taken.end(), [&](const IpPrefix& other) { return other.overlaps(candidate); });
      if (clash == taken.end()) return candidate;
      // Go on behind the subnet that is in the way, at a multiple of our size.
      const IpAddress behind = std::max(clash->last(), candidate.last());
      if (!pool.base.contains(behind)) break;
      const IpAddress next = IpPrefix(behind, pool.size).last().plus(1);
      if (next <= at) break;  // the end of the address space
      at = next;
    }
  }
  fail(ErrorKind::exhausted,
       "could not find an available, non-overlapping {} address pool among the defaults to assign to the network: "
       "remove "
       "unused networks, or give --subnet or a larger --default-address-pool",
       family == Family::v6 ? "IPv6" : "IPv4");
}

std::vector<IpamPool> checked_pools(const std::vector<IpamPool>& pools, bool enable_ipv6) {
  std::vector<IpamPool> out;
  std::vector<IpPrefix> subnets;
  for (const IpamPool& pool : pools) {
    if (pool.subnet.empty()) {
      if (!pool.gateway.empty() || !pool.ip_range.empty() || !pool.aux_addresses.empty())
        fail(ErrorKind::invalid_argument,
             "a gateway, an ip-range and auxiliary addresses need a subnet: give --subnet");
      continue;
    }
    IpamPool checked = checked_pool(pool);
    const IpPrefix subnet = IpPrefix::parse(checked.subnet);
    if (subnet.family() == Family::v6 && !enable_ipv6) continue;  // as Docker: kept out without --ipv6
    for (const IpPrefix& other : subnets) {
      if (other.family() == subnet.family())
        fail(ErrorKind::invalid_argument,
             "subnets {} and {}: the bridge driver supports one subnet of each address family in a network",
             other.str(), subnet.str());
    }
    subnets.push_back(subnet);
    out.push_back(std::move(checked));
  }
  return out;
}

kernel::MacAddress mac_of(const IpAddress& address) {
  const auto bytes = address.bytes();
  const std::size_t from = address.is_v6() ? 12 : 0;
  return {0x02, 0x42, bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]};
}

}  // namespace bryo::network

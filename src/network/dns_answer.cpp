#include "network/dns_answer.hpp"

#include <algorithm>

namespace bryo::network {

using kernel::Family;

std::optional<DnsBytes> local_dns_answer(const DnsNames& names, const std::string& container_id, const DnsQuery& query,
                                         std::size_t turn) {
  if (query.name.empty()) return std::nullopt;
  if (query.type == kDnsTypePtr) {
    const auto address = parse_reverse_name(query.name);
    const auto name = address ? names.reverse(container_id, *address) : std::nullopt;
    if (!name) return std::nullopt;
    return dns_pointer(query, *name);
  }
  const bool v6 = query.type == kDnsTypeAaaa;
  if (!v6 && query.type != kDnsTypeA && query.type != kDnsTypeMx) return std::nullopt;
  DnsNames::Found found = names.resolve(container_id, query.name, v6 ? Family::v6 : Family::v4);
  if (query.type == kDnsTypeMx) found.addresses.clear();  // a container has no mail exchanger
  if (!found.known) return std::nullopt;
  if (found.addresses.size() > 1) {
    const auto first = static_cast<std::ptrdiff_t>(turn % found.addresses.size());
    std::rotate(found.addresses.begin(), found.addresses.begin() + first, found.addresses.end());
  }
  return dns_addresses(query, found.addresses);
}

}  // namespace bryo::network

// What the embedded DNS server says by itself: Docker's rules (libnetwork's resolver) as one function. Pure but for the
// turn of the round-robin, which the caller counts.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "network/dns_message.hpp"
#include "network/dns_names.hpp"

namespace bryo::network {

// nullopt: not ours, ask upstream. A name that exists without an address of the family asked for gets an empty answer,
// not "no such name": else clients would give up on the other family.
std::optional<DnsBytes> local_dns_answer(const DnsNames& names, const std::string& container_id, const DnsQuery& query,
                                         std::size_t turn);

}  // namespace bryo::network

// DNS messages (RFC 1035, RFC 6891) as far as the embedded server needs them: read one question, write the answer.
// Pure; the bytes come from containers and from the network, so everything is checked and bounded, and nothing throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sockets_address.hpp"

namespace bryo::network {

using DnsBytes = std::vector<std::uint8_t>;

inline constexpr std::uint16_t kDnsTypeA = 1;
inline constexpr std::uint16_t kDnsTypePtr = 12;
inline constexpr std::uint16_t kDnsTypeMx = 15;
inline constexpr std::uint16_t kDnsTypeAaaa = 28;
inline constexpr std::size_t kDnsSmallest = 512;  // what any UDP client takes
inline constexpr std::size_t kDnsLargestUdp = 4096;

enum class DnsCode : std::uint8_t {
  ok = 0,
  format_error = 1,
  server_failure = 2,
  no_such_name = 3,
  not_implemented = 4
};

struct DnsQuery {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::string name;  // lower case, without the final dot; empty when it has bytes that no host name has
  std::uint16_t type = 0;
  std::uint16_t query_class = 0;
  DnsBytes question;  // as it came
  std::size_t udp_size = kDnsSmallest;
  bool has_edns = false;
};

struct DnsParsed {
  std::optional<DnsQuery> query;
  // What to answer when there is no query in it; nullopt: nothing at all (not a query, or shorter than a header).
  std::optional<DnsBytes> refusal;
};

DnsParsed parse_dns_query(std::span<const std::uint8_t> message);

// Answers. Address records carry a time to live of 600 s, as Docker's; the order of `addresses` is kept.
DnsBytes dns_addresses(const DnsQuery& query, const std::vector<kernel::IpAddress>& addresses);
DnsBytes dns_pointer(const DnsQuery& query, std::string_view name);
DnsBytes dns_empty(const DnsQuery& query, DnsCode code);
// Cuts an answer for UDP: the truncation bit is set and the answers left out when it is longer than `limit`.
DnsBytes dns_fit(DnsBytes answer, std::size_t limit);

// Whether a message answers this question: same id, response bit, same question (0x20 case mixing is accepted).
bool dns_answers(std::span<const std::uint8_t> message, std::uint16_t id, const DnsQuery& query);
void dns_set_id(DnsBytes& message, std::uint16_t id);

// "4.3.2.1.in-addr.arpa" → 1.2.3.4, and the ip6.arpa form; nullopt for anything else.
std::optional<kernel::IpAddress> parse_reverse_name(std::string_view name);

}  // namespace bryo::network

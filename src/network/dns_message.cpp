#include "network/dns_message.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::network {

using kernel::Family;
using kernel::IpAddress;

namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestLabel = 63;
constexpr std::uint32_t kTimeToLive = 600;
constexpr std::uint16_t kClassInternet = 1;
constexpr std::uint16_t kTypeOpt = 41;
constexpr std::uint16_t kPointerToQuestion = 0xc00c;

constexpr std::uint16_t kFlagResponse = 0x8000;
constexpr std::uint16_t kFlagTruncated = 0x0200;
constexpr std::uint16_t kFlagRecursionDesired = 0x0100;
constexpr std::uint16_t kFlagRecursionAvailable = 0x0080;
constexpr std::uint16_t kOpcodeMask = 0x7800;

std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put16(DnsBytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
  out.push_back(static_cast<std::uint8_t>(value & 0xff));
}

void put32(DnsBytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

void set16(DnsBytes& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value & 0xff);
}

std::uint8_t lower(std::uint8_t c) { return c >= 'A' && c <= 'Z' ? static_cast<std::uint8_t>(c + 32) : c; }

bool is_name_byte(std::uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

// Reads an uncompressed name: a question has no earlier name to point to. Returns the offset behind it.
std::optional<std::size_t> read_name(std::span<const std::uint8_t> message, std::size_t at, std::string& name) {
  const std::size_t start = at;
  bool plain = true;
  while (at < message.size()) {
    const std::size_t length = message[at++];
    if (length == 0) {
      if (!plain) name.clear();
      return at;
    }
    if (length > kLongestLabel || at + length >= message.size() || at + length - start > kLongestName) break;
    if (!name.empty()) name += '.';
    for (std::size_t i = 0; i < length; ++i) {
      const std::uint8_t c = lower(message[at + i]);
      plain = plain && is_name_byte(c);
      name += static_cast<char>(c);
    }
    at += length;
  }
  return std::nullopt;
}

// Behind a name that may be compressed; its content does not matter.
std::optional<std::size_t> skip_name(std::span<const std::uint8_t> message, std::size_t at) {
  while (at < message.size()) {
    const std::size_t length = message[at];
    if (length == 0) return at + 1;
    if ((length & 0xc0) == 0xc0) return at + 2;
    if (length > kLongestLabel) return std::nullopt;
    at += 1 + length;
  }
  return std::nullopt;
}

// Looks for the OPT record behind the question. Malformed rest: as if there were none.
void read_edns(std::span<const std::uint8_t> message, std::size_t at, DnsQuery& query) {
  const std::size_t records = std::size_t{read16(message, 6)} + read16(message, 8) + read16(message, 10);
  for (std::size_t i = 0; i < records; ++i) {
    const auto fixed = skip_name(message, at);
    if (!fixed || *fixed + 10 > message.size()) return;
    if (read16(message, *fixed) == kTypeOpt) {
      query.has_edns = true;
      query.udp_size = std::clamp<std::size_t>(read16(message, *fixed + 2), kDnsSmallest, kDnsLargestUdp);
      return;
    }
    at = *fixed + 10 + read16(message, *fixed + 8);
  }
}

DnsBytes header(std::uint16_t id, std::uint16_t query_flags, DnsCode code, std::size_t questions, std::size_t answers) {
  DnsBytes out;
  put16(out, id);
  const unsigned kept = query_flags & (kOpcodeMask | kFlagRecursionDesired);
  put16(out, kFlagResponse | kFlagRecursionAvailable | kept | static_cast<unsigned>(code));
  put16(out, questions);
  put16(out, answers);
  put16(out, 0);
  put16(out, 0);
  return out;
}

DnsBytes begin_answer(const DnsQuery& query, DnsCode code, std::size_t answers) {
  DnsBytes out = header(query.id, query.flags, code, 1, answers);
  out.insert(out.end(), query.question.begin(), query.question.end());
  return out;
}

void put_record(DnsBytes& out, std::uint16_t type, std::span<const std::uint8_t> data) {
  put16(out, kPointerToQuestion);
  put16(out, type);
  put16(out, kClassInternet);
  put32(out, kTimeToLive);
  put16(out, data.size());
  out.insert(out.end(), data.begin(), data.end());
}

void end_answer(DnsBytes& out, const DnsQuery& query) {
  if (!query.has_edns) return;
  set16(out, 10, 1);
  out.push_back(0);
  put16(out, kTypeOpt);
  put16(out, kDnsLargestUdp);
  put32(out, 0);
  put16(out, 0);
}

std::optional<DnsBytes> encode_name(std::string_view name) {
  DnsBytes out;
  for (const std::string_view label : split(name, '.')) {
    if (label.empty() || label.size() > kLongestLabel) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
  }
  out.push_back(0);
  if (out.size() > kLongestName) return std::nullopt;
  return out;
}

}  // namespace

DnsParsed parse_dns_query(std::span<const std::uint8_t> message) {
  if (message.size() < kHeader) return {};
  DnsQuery query;
  query.id = read16(message, 0);
  query.flags = read16(message, 2);
  if ((query.flags & kFlagResponse) != 0) return {};  // never answer an answer: two servers could play for ever
  const auto refuse = [&](DnsCode code) { return DnsParsed{{}, header(query.id, query.flags, code, 0, 0)}; };
  if ((query.flags & kOpcodeMask) != 0) return refuse(DnsCode::not_implemented);
  if (read16(message, 4) != 1) return refuse(DnsCode::format_error);
  const auto behind = read_name(message, kHeader, query.name);
  if (!behind || *behind + 4 > message.size()) return refuse(DnsCode::format_error);
  query.type = read16(message, *behind);
  query.query_class = read16(message, *behind + 2);
  query.question.assign(message.begin() + kHeader, message.begin() + static_cast<std::ptrdiff_t>(*behind) + 4);
  if (query.query_class != kClassInternet) query.name.clear();
  read_edns(message, *behind + 4, query);
  return {std::move(query), {}};
}

DnsBytes dns_addresses(const DnsQuery& query, const std::vector<IpAddress>& addresses) {
  DnsBytes out = begin_answer(query, DnsCode::ok, addresses.size());
  for (const IpAddress& address : addresses) {
    const auto bytes = address.bytes();
    put_record(out, address.is_v6() ? kDnsTypeAaaa : kDnsTypeA,
               std::span(bytes).first(static_cast<std::size_t>(address.size())));
  }
  end_answer(out, query);
  return out;
}

DnsBytes dns_pointer(const DnsQuery& query, std::string_view name) {
  const auto encoded = encode_name(name);
  if (!encoded) return dns_empty(query, DnsCode::ok);
  DnsBytes out = begin_answer(query, DnsCode::ok, 1);
  put_record(out, kDnsTypePtr, *encoded);
  end_answer(out, query);
  return out;
}

DnsBytes dns_empty(const DnsQuery& query, DnsCode code) {
  DnsBytes out = begin_answer(query, code, 0);
  end_answer(out, query);
  return out;
}

DnsBytes dns_fit(DnsBytes answer, std::size_t limit) {
  if (answer.size() <= limit || answer.size() < kHeader) return answer;
  std::string name;
  const auto behind = read_name(answer, kHeader, name);
  if (!behind || *behind + 4 > answer.size()) return answer;
  answer.resize(*behind + 4);
  set16(answer, 2, static_cast<std::uint16_t>(read16(answer, 2) | kFlagTruncated));
  for (const std::size_t count : {6U, 8U, 10U}) set16(answer, count, 0);
  return answer;
}

bool dns_answers(std::span<const std::uint8_t> message, std::uint16_t id, const DnsQuery& query) {
  if (message.size() < kHeader + query.question.size() || read16(message, 0) != id) return false;
  if ((read16(message, 2) & kFlagResponse) == 0 || read16(message, 4) != 1) return false;
  return std::equal(query.question.begin(), query.question.end(), message.begin() + kHeader,
                    [](std::uint8_t a, std::uint8_t b) { return lower(a) == lower(b); });
}

void dns_set_id(DnsBytes& message, std::uint16_t id) {
  if (message.size() >= 2) set16(message, 0, id);
}

std::optional<IpAddress> parse_reverse_name(std::string_view name) {
  constexpr std::string_view kV4 = ".in-addr.arpa";
  constexpr std::string_view kV6 = ".ip6.arpa";
  if (name.ends_with(kV4)) {
    auto parts = split(name.substr(0, name.size() - kV4.size()), '.');
    if (parts.size() != 4) return std::nullopt;
    std::reverse(parts.begin(), parts.end());
    return IpAddress::try_parse(fmt::format("{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[3]));
  }
  if (!name.ends_with(kV6)) return std::nullopt;
  const auto parts = split(name.substr(0, name.size() - kV6.size()), '.');
  if (parts.size() != 32) return std::nullopt;
  kernel::Uint128 value = 0;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    unsigned digit = 0;
    if (part->size() != 1) return std::nullopt;
    const auto [end, error] = std::from_chars(part->data(), part->data() + 1, digit, 16);
    if (error != std::errc() || end != part->data() + 1) return std::nullopt;
    value = value << 4 | digit;
  }
  return IpAddress::v6(value);
}

}  // namespace bryo::network

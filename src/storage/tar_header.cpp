#include "storage/tar_header.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::storage {
namespace {

[[noreturn]] void bad(const char* what, std::string_view text) {
  fail(ErrorKind::invalid_argument, "archive: bad {} \"{}\"", what, printable(text, 64));
}

std::int64_t base_256(std::string_view field, const char* what) {
  // The first byte's top bit marks the form, the next one is the sign.
  const bool negative = (static_cast<unsigned char>(field[0]) & 0x40U) != 0;
  std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    auto byte = static_cast<unsigned char>(field[i]);
    if (i == 0) byte = static_cast<unsigned char>(negative ? byte | 0x80U : byte & 0x7fU);
    const auto top = static_cast<unsigned char>(value >> 56U);
    if (top != (negative ? 0xff : 0)) bad(what, "number out of range");
    value = value << 8U | byte;
  }
  const auto result = static_cast<std::int64_t>(value);
  if ((result < 0) != negative) bad(what, "number out of range");
  return result;
}

std::int64_t octal(std::string_view field, const char* what) {
  const auto is_filler = [](char c) { return c == ' ' || c == '\0'; };
  while (!field.empty() && is_filler(field.front())) field.remove_prefix(1);
  // Old programs leave rubbish behind the end mark.
  field = field.substr(0, std::find_if(field.begin(), field.end(), is_filler) - field.begin());
  std::uint64_t value = 0;
  for (const char c : field) {
    if (c < '0' || c > '7' || value >> 60U != 0) bad(what, field);
    value = value << 3U | static_cast<unsigned>(c - '0');
  }
  return static_cast<std::int64_t>(value);
}

}  // namespace

bool TarHeader::all_zero() const {
  return std::all_of(block_, block_ + kTarBlock, [](char c) { return c == '\0'; });
}

bool TarHeader::checksum_holds() const {
  // Unsigned by the standard; some old programs summed signed characters.
  std::int64_t sum = 0;
  std::int64_t signed_sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    const char c = i >= 148 && i < 156 ? ' ' : block_[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  const std::int64_t wanted = octal(std::string_view(block_ + 148, 8), "checksum");
  return wanted == sum || wanted == signed_sum;
}

std::string TarHeader::text(std::size_t at, std::size_t size) const {
  return {block_ + at, ::strnlen(block_ + at, size)};
}

std::string TarHeader::name() const {
  std::string name = text(0, 100);
  // POSIX: magic "ustar" NUL. GNU writes other things where the prefix is. star ends its headers with "tar".
  if (std::memcmp(block_ + 257, "ustar\0", 6) != 0) return name;
  const bool star = std::memcmp(block_ + 508, "tar\0", 4) == 0;
  const std::string prefix = text(345, star ? 131 : 155);
  return prefix.empty() ? name : prefix + "/" + name;
}

std::int64_t TarHeader::number(std::size_t at, std::size_t size, const char* what) const {
  const std::string_view field(block_ + at, size);
  return (static_cast<unsigned char>(field[0]) & 0x80U) != 0 ? base_256(field, what) : octal(field, what);
}

std::uint64_t TarHeader::unsigned_number(std::size_t at, std::size_t size, const char* what) const {
  const std::int64_t value = number(at, size, what);
  if (value < 0) bad(what, std::to_string(value));
  return static_cast<std::uint64_t>(value);
}

std::uint32_t TarHeader::id(std::size_t at, const char* what) const {
  const std::uint64_t value = unsigned_number(at, 8, what);
  if (value >= UINT32_MAX) bad(what, std::to_string(value));
  return static_cast<std::uint32_t>(value);
}

std::uint32_t TarHeader::device(std::size_t at) const {
  const std::uint64_t value = unsigned_number(at, 8, "device number");
  if (value > UINT32_MAX) bad("device number", std::to_string(value));
  return static_cast<std::uint32_t>(value);
}

void for_each_pax_record(std::string_view records,
                         const std::function<void(std::string_view key, std::string_view value)>& record) {
  while (!records.empty()) {
    const std::size_t blank = records.find(' ');
    const auto length = parse_integer<std::size_t>(records.substr(0, std::min(blank, records.size())));
    if (!length || *length <= blank + 1 || *length > records.size() || records[*length - 1] != '\n')
      bad("pax record", records.substr(0, 64));
    const auto body = records.substr(blank + 1, *length - blank - 2);
    const auto parts = split_once(body, '=');
    if (!parts || parts->first.empty()) bad("pax record", body);
    record(parts->first, parts->second);
    records.remove_prefix(*length);
  }
}

TarTime parse_pax_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  const auto [whole, fraction] = split_once(text.substr(negative ? 1 : 0), '.')
                                     .value_or(std::pair{text.substr(negative ? 1 : 0), std::string_view()});
  const auto seconds = parse_integer<std::uint64_t>(whole);
  if (!seconds || *seconds > INT64_MAX || fraction.find_first_not_of("0123456789") != std::string_view::npos)
    bad("time", text);
  std::string digits(fraction.substr(0, 9));
  digits.resize(9, '0');
  TarTime time{static_cast<std::int64_t>(*seconds), *parse_integer<std::uint32_t>(digits)};
  if (!negative) return time;
  time.seconds = -time.seconds;
  if (time.nanoseconds > 0) {
    --time.seconds;
    time.nanoseconds = 1'000'000'000 - time.nanoseconds;
  }
  return time;
}

std::uint64_t parse_tar_number(std::string_view text, const char* what) {
  const auto value = parse_integer<std::uint64_t>(text);
  if (!value || *value > INT64_MAX) bad(what, text);
  return *value;
}

std::uint32_t parse_tar_id(std::string_view text, const char* what) {
  const std::uint64_t value = parse_tar_number(text, what);
  if (value >= UINT32_MAX) bad(what, text);
  return static_cast<std::uint32_t>(value);
}

}  // namespace bryo::storage

// Small text helpers that the standard library lacks.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bryo {

// "a,b,,c" → {"a","b","","c"}; an empty text gives one empty piece. Views into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);
// At the first separator; nullopt when it is not there.
std::optional<std::pair<std::string_view, std::string_view>> split_once(std::string_view text, char separator);
std::string join(std::span<const std::string> pieces, std::string_view separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
bool iequals(std::string_view a, std::string_view b);
std::string to_hex(std::span<const std::byte> bytes);
// Control bytes and what is no UTF-8 (RFC 3629) as \xNN, and at most `limit` bytes: for putting hostile text into
// messages and logs.
std::string printable(std::string_view text, std::size_t limit = 256);

// The whole text is one decimal number of this type: no sign for unsigned types, no blanks, no overflow
// (CVE-2024-40635).
template <typename Integer>
std::optional<Integer> parse_integer(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace bryo

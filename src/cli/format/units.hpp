// Sizes and durations as Docker's clients print and read them ("1.98MB", "64MiB", "About a minute").
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::cli {

// Decimal units with so many significant digits: 1980000 → "1.98MB". Docker lists use 3, progress bars 4.
std::string human_size(double bytes, int digits = 4);
// Binary units, four digits: 67108864 → "64MiB".
std::string binary_size(double bytes);
// "Less than a second", "4 seconds", "About a minute", "3 weeks".
std::string human_duration(std::chrono::nanoseconds duration);
// "4 seconds ago", from a unix time; "N/A" for a time of zero or before. No time is longer ago than 292 years.
std::string human_ago(std::int64_t unix_seconds, std::int64_t now);
// Go's Duration.String(): "1m30s", "1.5s", "100ms".
std::string go_duration(std::chrono::nanoseconds duration);
// "64m", "1.5GiB", "1024": binary multiples. nullopt when malformed or out of range.
std::optional<std::int64_t> parse_binary_size(std::string_view text);
// The reason that Docker gives for a refused size: "invalid suffix: 'x'".
std::string binary_size_complaint(std::string_view text);

}  // namespace bryo::cli

// Wall-clock instants as Docker writes them. Durations and deadlines inside the engine use std::chrono::steady_clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo {

// Nanoseconds since the epoch, UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

WallTime wall_now();
// Go's RFC3339Nano: "2006-01-02T15:04:05.999999999Z", trailing zeros of the fraction dropped.
std::string to_rfc3339_nano(WallTime time);
// Nine digits always: the form of json-file log lines sorts as text.
std::string to_rfc3339_fixed(WallTime time);
// RFC 3339 with any fraction and offset; nullopt when malformed.
std::optional<WallTime> parse_rfc3339(std::string_view text);
// What --since/--until accept: RFC 3339 (also without zone or time, taken as UTC), unix seconds with fraction, or a Go
// duration
// ("10m", "1h30m") meaning that long ago.
std::optional<WallTime> parse_timestamp(std::string_view text, WallTime now);
// Go duration: "300ms", "1.5h", "2h45m", "-1s", "0".
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);
// "0001-01-01T00:00:00Z", Docker's never.
inline constexpr std::string_view kZeroTime = "0001-01-01T00:00:00Z";

}  // namespace bryo

#include "cli/format/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/strings.hpp"

namespace bryo::cli {
namespace {

using std::chrono::nanoseconds;

// What 64 bits of nanoseconds hold, 292 years; Docker's clients end there, too.
constexpr auto kLongest = std::chrono::floor<std::chrono::seconds>(nanoseconds::max());

constexpr std::array<std::string_view, 9> kDecimal = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
constexpr std::array<std::string_view, 9> kBinary = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};

std::string scaled(double size, double base, int digits, const std::array<std::string_view, 9>& units) {
  std::size_t unit = 0;
  while (size >= base && unit + 1 < units.size()) {
    size /= base;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, size);
  return std::string(text).append(units[unit]);
}

// The power of 1024 that a suffix means: "", "k", "kb", "kib" … ; nullopt for an unknown one.
std::optional<int> binary_exponent(std::string_view suffix) {
  std::string lower = to_lower(suffix);
  if (lower.empty() || lower == "b") return 0;
  constexpr std::string_view letters = "kmgtp";
  const auto power = letters.find(lower[0]);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = std::string_view(lower).substr(1);
  if (!rest.empty() && rest != "b" && rest != "ib") return std::nullopt;
  return static_cast<int>(power) + 1;
}

struct SizeParts {
  std::optional<double> number;
  std::string_view suffix;
};

SizeParts size_parts(std::string_view text) {
  const auto last = text.find_last_of("0123456789. ");
  if (last == std::string_view::npos) return {};
  std::string_view digits = text.substr(0, last + 1);
  std::string_view suffix = text.substr(last + 1);
  if (digits.back() == ' ') digits.remove_suffix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || number < 0)
    return {std::nullopt, suffix};
  return {number, suffix};
}

}  // namespace

std::string human_size(double bytes, int digits) { return scaled(bytes, 1000, digits, kDecimal); }
std::string binary_size(double bytes) { return scaled(bytes, 1024, 4, kBinary); }

std::string human_duration(nanoseconds duration) {
  const double seconds_exact = std::chrono::duration<double>(duration).count();
  const auto seconds = static_cast<std::int64_t>(seconds_exact);
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  const auto minutes = static_cast<std::int64_t>(seconds_exact / 60);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  const auto hours = static_cast<std::int64_t>(std::floor(seconds_exact / 3600 + 0.5));
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", static_cast<std::int64_t>(seconds_exact / 3600) / 24 / 365);
}

std::string human_ago(std::int64_t unix_seconds, std::int64_t now) {
  if (unix_seconds <= 0) return "N/A";
  return human_duration(std::clamp(std::chrono::seconds(now - unix_seconds), -kLongest, kLongest)) + " ago";
}

std::string go_duration(nanoseconds duration) {
  const std::int64_t total = duration.count();
  if (total == 0) return "0s";
  const std::string sign = total < 0 ? "-" : "";
  const double nanos = std::fabs(static_cast<double>(total));
  if (nanos < 1e3) return fmt::format("{}{}ns", sign, nanos);
  if (nanos < 1e6) return fmt::format("{}{}µs", sign, nanos / 1e3);
  if (nanos < 1e9) return fmt::format("{}{}ms", sign, nanos / 1e6);
  const auto whole = static_cast<std::uint64_t>(std::llabs(total));
  const std::uint64_t minutes = whole / 60'000'000'000U;
  std::string out = sign;
  if (minutes >= 60) out += fmt::format("{}h", minutes / 60);
  if (minutes > 0) out += fmt::format("{}m", minutes % 60);
  return out + fmt::format("{}s", static_cast<double>(whole % 60'000'000'000U) / 1e9);
}

std::optional<std::int64_t> parse_binary_size(std::string_view text) {
  const SizeParts parts = size_parts(text);
  const auto exponent = binary_exponent(parts.suffix);
  if (!parts.number || !exponent) return std::nullopt;
  const double size = *parts.number * std::pow(1024.0, *exponent);
  if (!(size < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(size);
}

std::string binary_size_complaint(std::string_view text) {
  const SizeParts parts = size_parts(text);
  if (parts.number && !binary_exponent(parts.suffix)) return fmt::format("invalid suffix: '{}'", parts.suffix);
  return fmt::format("invalid size: '{}'", text);
}

}  // namespace bryo::cli

#include "base/time.hpp"

#include <ctime>

#include <fmt/format.h>

#include "base/strings.hpp"

namespace bryo {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

struct Civil {
  std::string date;
  std::int64_t nanos;
};

// Not gmtime_r: it reads /etc/localtime, although UTC needs nothing of it.
Civil to_civil(WallTime time) {
  const auto whole = std::chrono::floor<seconds>(time);
  const auto midnight = std::chrono::floor<std::chrono::days>(whole);
  const std::chrono::year_month_day day(midnight);
  const std::chrono::hh_mm_ss clock(whole - midnight);
  return {fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(day.year()),
                      static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()), clock.hours().count(),
                      clock.minutes().count(), clock.seconds().count()),
          (time - whole).count()};
}

// Takes exactly `digits` decimal digits off the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  const auto value = parse_integer<unsigned>(text.substr(0, digits));
  if (!value) return std::nullopt;
  text.remove_prefix(digits);
  return static_cast<int>(*value);
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<nanoseconds> take_fraction(std::string_view& text) {
  std::int64_t value = 0;
  std::int64_t unit = 100'000'000;
  std::size_t used = 0;
  while (used < text.size() && text[used] >= '0' && text[used] <= '9') {
    value += (text[used] - '0') * unit;
    unit /= 10;
    ++used;
  }
  if (used == 0) return std::nullopt;
  text.remove_prefix(used);
  return nanoseconds(value);
}

std::optional<seconds> take_zone(std::string_view& text) {
  if (take(text, 'Z') || take(text, 'z')) return seconds(0);
  if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
  const int sign = text.front() == '+' ? 1 : -1;
  text.remove_prefix(1);
  const auto hours = take_number(text, 2);
  if (!hours || !take(text, ':')) return std::nullopt;
  const auto minutes = take_number(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return seconds(sign * (*hours * 3600 + *minutes * 60));
}

std::optional<std::time_t> take_date(std::string_view& text, std::tm& tm) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || *month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;
  tm = {};
  tm.tm_year = *year - 1900;
  tm.tm_mon = *month - 1;
  tm.tm_mday = *day;
  return 0;
}

bool take_clock(std::string_view& text, std::tm& tm) {
  const auto hour = take_number(text, 2);
  if (!hour || !take(text, ':')) return false;
  const auto minute = take_number(text, 2);
  if (!minute || *hour > 23 || *minute > 59) return false;
  tm.tm_hour = *hour;
  tm.tm_min = *minute;
  if (take(text, ':')) {
    const auto second = take_number(text, 2);
    if (!second || *second > 60) return false;
    tm.tm_sec = *second;
  }
  return true;
}

// `zone_optional`: a date alone, or a time without zone, counts as UTC.
std::optional<WallTime> parse_date(std::string_view text, bool zone_optional) {
  std::tm tm{};
  if (!take_date(text, tm)) return std::nullopt;
  nanoseconds fraction(0);
  seconds offset(0);
  if (text.empty() && zone_optional) return WallTime(seconds(timegm(&tm)));
  if (!take(text, 'T') && !take(text, 't')) return std::nullopt;
  if (!take_clock(text, tm)) return std::nullopt;
  if (take(text, '.')) {
    const auto parsed = take_fraction(text);
    if (!parsed) return std::nullopt;
    fraction = *parsed;
  }
  if (!(text.empty() && zone_optional)) {
    const auto zone = take_zone(text);
    if (!zone || !text.empty()) return std::nullopt;
    offset = *zone;
  }
  return WallTime(seconds(timegm(&tm)) + fraction - offset);
}

std::optional<WallTime> parse_unix(std::string_view text) {
  const auto parts = split_once(text, '.');
  const auto whole = parse_integer<std::int64_t>(parts ? parts->first : text);
  if (!whole) return std::nullopt;
  nanoseconds fraction(0);
  if (parts) {
    auto rest = parts->second;
    const auto parsed = take_fraction(rest);
    if (!parsed || !rest.empty()) return std::nullopt;
    fraction = *parsed;
  }
  constexpr std::int64_t limit = 9'000'000'000;  // year 2255: inside the range of 64-bit nanoseconds
  if (*whole > limit || *whole < -limit) return std::nullopt;
  return WallTime(seconds(*whole) + fraction);
}

}  // namespace

WallTime wall_now() { return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now()); }

std::string to_rfc3339_nano(WallTime time) {
  const Civil civil = to_civil(time);
  std::string out = civil.date;
  if (civil.nanos != 0) {
    out += fmt::format(".{:09}", civil.nanos);
    out.erase(out.find_last_not_of('0') + 1);
  }
  return out + "Z";
}

std::string to_rfc3339_fixed(WallTime time) {
  const Civil civil = to_civil(time);
  return fmt::format("{}.{:09}Z", civil.date, civil.nanos);
}

std::optional<WallTime> parse_rfc3339(std::string_view text) { return parse_date(text, false); }

std::optional<WallTime> parse_timestamp(std::string_view text, WallTime now) {
  if (const auto date = parse_date(text, true)) return date;
  if (const auto stamp = parse_unix(text)) return stamp;
  if (const auto ago = parse_duration(text)) return now - *ago;
  return std::nullopt;
}

std::optional<nanoseconds> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double nanos;
  };
  constexpr Unit units[] = {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
  const bool negative = take(text, '-');
  if (!negative) take(text, '+');
  if (text == "0") return nanoseconds(0);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const auto digits = std::min(text.find_first_not_of("0123456789."), text.size());
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
    if (digits == 0 || error != std::errc() || end != text.data() + digits) return std::nullopt;
    text.remove_prefix(digits);
    const auto length = std::min(text.find_first_of("0123456789."), text.size());
    const Unit* unit = nullptr;
    for (const Unit& candidate : units)
      if (candidate.name == text.substr(0, length)) unit = &candidate;
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(length);
    total += number * unit->nanos;
  }
  constexpr double limit = 9.2e18;  // 64-bit nanoseconds, about 292 years
  if (total > limit) return std::nullopt;
  const nanoseconds value(static_cast<std::int64_t>(total));
  return negative ? -value : value;
}

}  // namespace bryo

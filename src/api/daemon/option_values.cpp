#include "api/daemon/option_values.hpp"

#include <array>
#include <cmath>
#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::daemon {

bool parse_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "True", "TRUE"})
    if (text == yes) return true;
  for (const std::string_view no : {"0", "f", "F", "false", "False", "FALSE"})
    if (text == no) return false;
  fail(ErrorKind::invalid_argument, "\"{}\" is neither true nor false", printable(text));
}

int parse_number(std::string_view text, int least, int most) {
  const auto value = parse_integer<int>(text);
  if (!value || *value < least || *value > most)
    fail(ErrorKind::invalid_argument, "\"{}\" is not a number from {} to {}", printable(text), least, most);
  return *value;
}

std::int64_t parse_size(std::string_view text) {
  const auto refuse = [&] { fail(ErrorKind::invalid_argument, "invalid size: \"{}\"", printable(text)); };
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string unit = to_lower(trim(text.substr(end)));
  if (unit.ends_with("ib"))
    unit.resize(unit.size() - 2);
  else if (unit.ends_with('b'))
    unit.pop_back();
  constexpr std::string_view kUnits = "kmgtp";
  const std::size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
  if (end == 0 || unit.size() > 1 || (!unit.empty() && power == 0)) refuse();
  const std::string digits(text.substr(0, end));
  char* rest = nullptr;
  const double value = std::ldexp(std::strtod(digits.c_str(), &rest), static_cast<int>(power) * 10);
  if (*rest != '\0' || value > 9e18) refuse();
  return static_cast<std::int64_t>(value);
}

std::pair<std::string, std::string> parse_key_value(std::string_view text) {
  const auto pair = split_once(text, '=');
  if (!pair || pair->first.empty()) fail(ErrorKind::invalid_argument, "\"{}\" is not key=value", printable(text));
  return {std::string(pair->first), std::string(pair->second)};
}

engine::Ulimit parse_ulimit(std::string_view text) {
  const auto [name, limits] = parse_key_value(text);
  const auto pair = split_once(limits, ':');
  const auto soft = parse_integer<std::int64_t>(pair ? pair->first : std::string_view(limits));
  const auto hard = pair ? parse_integer<std::int64_t>(pair->second) : soft;
  if (!soft || !hard)
    fail(ErrorKind::invalid_argument, "invalid ulimit \"{}\": expected name=soft:hard", printable(text));
  if (*hard != -1 && (*soft > *hard || *soft == -1))
    fail(ErrorKind::invalid_argument, "ulimit soft limit must be less than or equal to hard limit: {} > {}", *soft,
         *hard);
  return {name, *soft, *hard};
}

engine::AddressPool parse_pool(std::string_view text) {
  engine::AddressPool pool;
  for (const std::string_view piece : split(text, ',')) {
    const auto [key, value] = parse_key_value(piece);
    if (key == "base")
      pool.base = value;
    else if (key == "size")
      pool.size = parse_number(value, 1, 128);
    else
      fail(ErrorKind::invalid_argument, "unexpected key '{}' in address pool \"{}\"", printable(key), printable(text));
  }
  const auto prefix = kernel::IpPrefix::try_parse(pool.base);
  if (!prefix)
    fail(ErrorKind::invalid_argument, "invalid address pool \"{}\": expected base=CIDR,size=N", printable(text));
  if (pool.size < prefix->length())
    fail(ErrorKind::invalid_argument, "invalid address pool \"{}\": the size is larger than the base", printable(text));
  return pool;
}

std::string checked_ip(const std::string& text) {
  if (!kernel::IpAddress::try_parse(text))
    fail(ErrorKind::invalid_argument, "{} is not an ip address", printable(text));
  return text;
}

}  // namespace bryo::daemon

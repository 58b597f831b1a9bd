// Annotations org.systemd.property.NAME: properties of the unit that config.json names itself.
#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "runtime/command/gvariant_text.hpp"
#include "runtime/command/systemd_properties.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::string_view kPrefix = "org.systemd.property.";
constexpr std::string_view kSeconds = "Sec";
constexpr std::string_view kMicroseconds = "USec";
constexpr double kPerSecond = 1e6;

// As runc: at least three letters and nothing else.
bool is_property_name(std::string_view name) {
  return name.size() >= 3 &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

// Unit files know RuntimeMaxSec=, the bus only RuntimeMaxUSec.
BusTree microseconds(const BusTree& seconds) {
  double value = -1;
  if (seconds.type == "d")
    value = std::bit_cast<double>(seconds.bits);
  else if (seconds.type == "n" || seconds.type == "i" || seconds.type == "x")
    value = static_cast<double>(static_cast<std::int64_t>(seconds.bits));
  else if (seconds.type == "y" || seconds.type == "q" || seconds.type == "u" || seconds.type == "t")
    value = static_cast<double>(seconds.bits);
  if (!(value >= 0) || value * kPerSecond >= 0x1p64) fail(ErrorKind::invalid_argument, "not a number of seconds");
  return {"t", static_cast<std::uint64_t>(std::llround(std::min(value * kPerSecond, 0x1p62)))};
}

}  // namespace

std::vector<UnitProperty> annotation_properties(const std::map<std::string, std::string>& annotations) {
  std::vector<UnitProperty> out;
  for (const auto& [key, text] : annotations) {
    if (!key.starts_with(kPrefix)) continue;
    std::string name = key.substr(kPrefix.size());
    if (!is_property_name(name))
      fail(ErrorKind::invalid_argument, "annotations.{}: no property of a unit has such a name", printable(key));
    try {
      BusTree value = parse_gvariant(text);
      if (name.ends_with(kSeconds) && !name.ends_with(kMicroseconds)) {
        value = microseconds(value);
        name.replace(name.size() - kSeconds.size(), kSeconds.size(), kMicroseconds);
      }
      out.push_back({name, std::move(value)});
    } catch (const Error& error) {
      fail(ErrorKind::invalid_argument, "annotations.{}: {} (the value is in GVariant's text form, such as {})",
           printable(key), error.message(), "\"uint64 5\", \"'text'\", \"['a', 'b']\"");
    }
  }
  return out;
}

}  // namespace bryo::runtime::command

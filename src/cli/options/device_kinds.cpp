// --device, --device-cgroup-rule, --device-read-bps and its kin, --blkio-weight-device.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"
#include "cli/format/units.hpp"
#include "cli/options/value_kind.hpp"

namespace bryo::cli {
namespace {

using json::Value;
using Shape = ValueKind::Shape;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

// Some of r, w and m, each once.
bool is_mode(std::string_view mode) {
  if (mode.empty()) return false;
  for (const char c : mode)
    if (std::string_view("rwm").find(c) == std::string_view::npos || std::count(mode.begin(), mode.end(), c) > 1)
      return false;
  return true;
}

// HOST[:CONTAINER][:MODE]
Value device(const std::string& text) {
  const auto parts = split(text, ':');
  if (parts.size() > 3 || parts[0].empty()) refuse("bad format for path: " + printable(text));
  std::string_view host = parts[0];
  std::string_view container = host;
  std::string_view mode = "rwm";
  if (parts.size() == 2 && is_mode(parts[1])) {
    mode = parts[1];
  } else if (parts.size() >= 2) {
    container = parts[1];
    if (parts.size() == 3) mode = parts[2];
    if (!is_mode(mode)) refuse("bad mode specified: " + printable(mode));
  }
  if (!container.starts_with('/')) refuse(printable(container) + " is not an absolute path");
  return json::Object{{"PathOnHost", std::string(host)},
                      {"PathInContainer", std::string(container)},
                      {"CgroupPermissions", std::string(mode)}};
}

// "c 1:3 mr": type, numbers (or *), mode.
bool is_rule(std::string_view text) {
  const auto parts = split(text, ' ');
  if (parts.size() != 3 || (parts[0] != "a" && parts[0] != "b" && parts[0] != "c") || !is_mode(parts[2])) return false;
  const auto numbers = split_once(parts[1], ':');
  if (!numbers) return false;
  for (const auto number : {numbers->first, numbers->second})
    if (number != "*" && (number.empty() || number.find_first_not_of("0123456789") != std::string_view::npos))
      return false;
  return true;
}

Value device_rule(const std::string& text) {
  if (!is_rule(text)) refuse(fmt::format("invalid device cgroup format '{}'", printable(text)));
  return Value(text);
}

std::pair<std::string, std::string> path_and_value(const std::string& text) {
  const auto parts = split_once(text, ':');
  if (!parts || parts->first.empty()) refuse("bad format: " + printable(text));
  if (!parts->first.starts_with("/dev/")) refuse("bad format for device path: " + printable(text));
  return {std::string(parts->first), std::string(parts->second)};
}

Value throttle(const std::string& text, std::optional<std::int64_t> rate, std::string_view form) {
  if (!rate || *rate < 0)
    refuse(fmt::format("invalid rate for device: {}. The correct format is <device-path>:{}", printable(text), form));
  return json::Object{{"Path", path_and_value(text).first}, {"Rate", *rate}};
}

Value throttle_bytes(const std::string& text) {
  return throttle(text, parse_binary_size(path_and_value(text).second),
                  "<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb");
}

Value throttle_count(const std::string& text) {
  return throttle(text, parse_integer<std::int64_t>(path_and_value(text).second),
                  "<number>. Number must be a positive integer");
}

Value weight_device(const std::string& text) {
  const auto [path, value] = path_and_value(text);
  const auto weight = parse_integer<std::uint16_t>(value);
  if (!weight || (*weight > 0 && (*weight < 10 || *weight > 1000)))
    refuse("invalid weight for device: " + printable(text));
  return json::Object{{"Path", path}, {"Weight", *weight}};
}

}  // namespace

const ValueKind kDevice = {"list", Shape::list, device, true};
const ValueKind kDeviceRule = {"list", Shape::list, device_rule};
const ValueKind kThrottleBytes = {"list", Shape::list, throttle_bytes};
const ValueKind kThrottleCount = {"list", Shape::list, throttle_count};
const ValueKind kWeightDevice = {"list", Shape::list, weight_device};

}  // namespace bryo::cli

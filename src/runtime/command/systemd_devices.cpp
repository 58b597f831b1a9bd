// The device list as systemd's DevicePolicy= and DeviceAllow= know it (systemd.resource-control(5)): it only adds, and
// names every number of a kind by the driver's name.
#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "runtime/command/systemd_properties.hpp"

namespace bryo::runtime::command {
namespace {

using Rule = kernel::CgroupDeviceRule;

bool same_devices(const Rule& a, const Rule& b) { return a.type == b.type && a.major == b.major && a.minor == b.minor; }

bool overlap(const Rule& a, const Rule& b) {
  const auto meet = [](const auto& x, const auto& y) { return !x || !y || *x == *y; };
  return a.type == b.type && meet(a.major, b.major) && meet(a.minor, b.minor);
}

// What is allowed in the end; nothing where a refusal is an exception from an allowance, or all is allowed.
std::optional<std::vector<Rule>> allowances(const std::vector<Rule>& rules) {
  std::vector<Rule> out;
  for (const Rule& rule : rules) {
    if (rule.type == 'a') {
      if (rule.allow) return std::nullopt;
      out.clear();
      continue;
    }
    auto known = std::ranges::find_if(out, [&](const Rule& r) { return same_devices(r, rule); });
    if (rule.allow) {
      if (known == out.end()) known = out.insert(known, {true, rule.type, rule.major, rule.minor, ""});
      for (const char letter : std::string_view("rwm"))
        if (rule.access.find(letter) != std::string::npos && known->access.find(letter) == std::string::npos)
          known->access += letter;
      continue;
    }
    if (known != out.end())
      std::erase_if(known->access, [&](char c) { return rule.access.find(c) != std::string::npos; });
    const bool exception =
        std::ranges::any_of(out, [&](const Rule& r) { return !same_devices(r, rule) && overlap(r, rule); });
    if (exception) return std::nullopt;
  }
  std::erase_if(out, [](const Rule& rule) { return rule.access.empty(); });
  return out;
}

// "136 pts" below "Character devices:" of /proc/devices.
std::string driver_of(std::string_view proc_devices, char type, std::uint32_t major) {
  bool right_section = false;
  for (const std::string_view line : split(proc_devices, '\n')) {
    if (line.ends_with(':')) right_section = line.starts_with(type == 'c' ? "Character" : "Block");
    const auto pair = split_once(trim(line), ' ');
    if (right_section && pair && parse_integer<std::uint32_t>(pair->first) == major)
      return std::string(trim(pair->second));
  }
  return "";
}

// Empty when systemd has no name for it.
std::string name_of(const Rule& rule, std::string_view proc_devices) {
  const std::string_view kind = rule.type == 'c' ? "char" : "block";
  if (rule.major && rule.minor) return fmt::format("/dev/{}/{}:{}", kind, *rule.major, *rule.minor);
  if (!rule.major && !rule.minor) return fmt::format("{}-*", kind);
  const std::string driver = rule.major ? driver_of(proc_devices, rule.type, *rule.major) : "";
  return driver.empty() ? "" : fmt::format("{}-{}", kind, driver);
}

}  // namespace

std::vector<UnitProperty> device_properties(const std::vector<kernel::CgroupDeviceRule>& rules,
                                            std::string_view proc_devices) {
  const auto allowed = allowances(rules);
  if (!allowed) return {};
  BusTree list{"a(ss)"};
  for (const Rule& rule : *allowed) {
    const std::string name = name_of(rule, proc_devices);
    if (name.empty()) return {};
    list.members.push_back({"(ss)", 0, "", {{"s", 0, name}, {"s", 0, rule.access}}});
  }
  return {{"DevicePolicy", std::string("strict")}, {"DeviceAllow", std::move(list)}};
}

}  // namespace bryo::runtime::command

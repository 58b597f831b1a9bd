#include <algorithm>
#include <limits>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "ids/range_allocator.hpp"

namespace bryo::ids {

namespace {

[[noreturn]] void fail_option(std::string_view text, std::string_view why) {
  fail(ErrorKind::invalid_argument, "--userns=\"{}\": {}", printable(text, 100), why);
}

IdRange parse_mapping(std::string_view text, std::string_view whole) {
  const auto fields = split(text, ':');
  if (fields.size() != 3) fail_option(whole, "a mapping is CONTAINER-ID:HOST-ID:SIZE");
  const auto container = parse_integer<std::uint32_t>(fields[0]);
  const auto host = parse_integer<std::uint32_t>(fields[1]);
  const auto size = parse_integer<std::uint32_t>(fields[2]);
  if (!container || !host || !size || *size == 0) fail_option(whole, "a mapping is CONTAINER-ID:HOST-ID:SIZE");
  if (*host == 0) fail_option(whole, "the host's root is never mapped into a container");
  return {ContainerId{*container}, HostId{*host}, *size};
}

constexpr std::uint32_t kNobody = 65534;

using Fields = std::vector<std::string_view>;

std::vector<Fields> read_table(std::string_view text) {
  std::vector<Fields> rows;
  for (const std::string_view line : split(text, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() >= 4) rows.push_back(std::move(fields));
  }
  return rows;
}

void raise_to(std::string_view text, std::uint64_t& highest) {
  if (const auto id = parse_integer<std::uint32_t>(text)) highest = std::max<std::uint64_t>(highest, *id);
}

// The ids in the third field of passwd(5) and group(5), and in passwd's fourth; nobody's own are left out.
void raise_to_table(const std::vector<Fields>& rows, bool fourth, std::uint64_t& highest) {
  for (const Fields& fields : rows)
    for (std::size_t i = 2; i <= (fourth ? 3U : 2U); ++i)
      if (parse_integer<std::uint32_t>(fields[i]) != kNobody) raise_to(fields[i], highest);
}

// One half of USER: a number, or a name of this table.
void raise_to_name(std::string_view name, const std::vector<Fields>& rows, bool fourth, std::uint64_t& highest) {
  raise_to(name, highest);
  for (const Fields& fields : rows)
    if (fields[0] == name && name != "nobody" && name != "nogroup") {
      raise_to(fields[2], highest);
      if (fourth) raise_to(fields[3], highest);
    }
}

}  // namespace

std::optional<AutoOptions> AutoOptions::parse(std::string_view text) {
  if (text != "auto" && !text.starts_with("auto:")) return std::nullopt;
  AutoOptions options;
  if (text == "auto") return options;
  for (const std::string_view word : split(text.substr(5), ',')) {
    const auto pair = split_once(word, '=');
    if (!pair) fail_option(text, "options are size=N, uidmapping=C:H:N, gidmapping=C:H:N");
    if (pair->first == "size") {
      options.size = parse_integer<std::uint32_t>(pair->second);
      if (!options.size || *options.size == 0) fail_option(text, "size must be a number above 0");
    } else if (pair->first == "uidmapping") {
      options.uid_mappings.push_back(parse_mapping(pair->second, text));
    } else if (pair->first == "gidmapping") {
      options.gid_mappings.push_back(parse_mapping(pair->second, text));
    } else {
      fail_option(text, "options are size=N, uidmapping=C:H:N, gidmapping=C:H:N");
    }
  }
  return options;
}

std::uint32_t needed_ids(std::string_view passwd, std::string_view group, std::string_view user) {
  const auto users = read_table(passwd);
  const auto groups = read_table(group);
  std::uint64_t highest = 0;
  raise_to_table(users, true, highest);
  raise_to_table(groups, false, highest);
  const auto halves = split(user, ':');
  raise_to_name(halves[0], users, true, highest);
  if (halves.size() > 1) raise_to_name(halves[1], groups, false, highest);
  if (highest == kNobody) highest = 0;  // USER 65534: mapped in any case
  const std::uint64_t rounded = (highest / kAutoGranularity + 1) * kAutoGranularity;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(rounded, kAutoLimit));
}

}  // namespace bryo::ids

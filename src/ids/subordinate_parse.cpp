#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "ids/subordinate.hpp"

namespace bryo::ids {

namespace {

// nullopt with `why` filled when the line is not "owner:first:count" with usable numbers.
std::optional<SubRange> parse_fields(const std::vector<std::string_view>& fields, std::string_view& why) {
  why = "three fields owner:first:count are expected";
  if (fields.size() != 3) return std::nullopt;
  const auto first = parse_integer<std::uint32_t>(fields[1]);
  const auto count = parse_integer<std::uint32_t>(fields[2]);
  why = "first id and count must be numbers of 32 bits";
  if (!first || !count) return std::nullopt;
  why = "the count is 0";
  if (*count == 0) return std::nullopt;
  why = "it would hand out id 0, the host's root";
  if (*first == 0) return std::nullopt;
  why = "it goes past the last id";
  if (*first >= kAllIds || *count > kAllIds - *first) return std::nullopt;
  return SubRange{HostId{*first}, *count};
}

}  // namespace

std::vector<SubRange> parse_subordinate(std::string_view text, std::string_view file,
                                        const std::vector<std::string>& keys) {
  std::vector<SubRange> ranges;
  std::size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#') continue;
    const auto fields = split(line, ':');
    const bool ours = std::ranges::find(keys, fields[0]) != keys.end();
    std::string_view why;
    const auto range = parse_fields(fields, why);
    if (range && ours) ranges.push_back(*range);
    if (range) continue;
    if (ours)
      fail(ErrorKind::invalid_argument, "{} line {} (\"{}\"): {}; correct it to a line such as {}:165536:65536", file,
           number, printable(line, 80), why, keys.front());
    log::warning("{} line {} is skipped: {}", file, number, why);
  }
  return ranges;
}

IdMap map_over(const std::vector<SubRange>& ranges, std::string_view what) {
  std::vector<IdRange> out;
  std::uint64_t next = 0;
  for (const SubRange& range : ranges) {
    if (next >= kAllIds) break;
    const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(range.count, kAllIds - next));
    out.push_back({ContainerId{static_cast<std::uint32_t>(next)}, range.first, size});
    next += size;
  }
  try {
    return IdMap::from_ranges(std::move(out));
  } catch (const Error& error) {
    throw error.within(fmt::format("subordinate ids of {}", what));
  }
}

}  // namespace bryo::ids

#include "ids/id_map.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::ids {

namespace {

// One past the last id; 64 bits, since first + size may be 2^32 - 1 + something.
std::uint64_t end_of(std::uint32_t first, std::uint32_t size) { return std::uint64_t{first} + size; }

bool intersect(std::uint32_t a, std::uint32_t a_size, std::uint32_t b, std::uint32_t b_size) {
  return a < end_of(b, b_size) && b < end_of(a, a_size);
}

std::string text_of(const IdRange& range) {
  return fmt::format("{} {} {}", value(range.container), value(range.host), range.size);
}

void check(const IdRange& range) {
  if (range.size == 0) fail(ErrorKind::invalid_argument, "id range \"{}\" is empty", text_of(range));
  if (end_of(value(range.container), range.size) > kAllIds || end_of(value(range.host), range.size) > kAllIds)
    fail(ErrorKind::invalid_argument, "id range \"{}\" goes past the last id, {}", text_of(range), kAllIds - 1);
}

void check_pair(const IdRange& a, const IdRange& b) {
  if (intersect(value(a.container), a.size, value(b.container), b.size))
    fail(ErrorKind::invalid_argument, "id ranges \"{}\" and \"{}\" overlap inside the container", text_of(a),
         text_of(b));
  if (intersect(value(a.host), a.size, value(b.host), b.size))
    fail(ErrorKind::invalid_argument, "id ranges \"{}\" and \"{}\" overlap on the host", text_of(a), text_of(b));
}

HostId root_of(const IdMap& map, std::string_view kind) {
  const auto root = map.to_host(ContainerId{0});
  if (!root) fail(ErrorKind::invalid_argument, "the {} id map has no id for the container's root", kind);
  return *root;
}

}  // namespace

IdMap IdMap::from_ranges(std::vector<IdRange> ranges) {
  if (ranges.size() > kMaxRanges)
    fail(ErrorKind::invalid_argument, "an id map of {} ranges: the kernel takes {}", ranges.size(), kMaxRanges);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    check(ranges[i]);
    for (std::size_t j = 0; j < i; ++j) check_pair(ranges[j], ranges[i]);
  }
  IdMap map;
  map.ranges_ = std::move(ranges);
  return map;
}

IdMap IdMap::contiguous(HostId first, std::uint32_t size) { return from_ranges({{ContainerId{0}, first, size}}); }

IdMap IdMap::identity() { return contiguous(HostId{0}, kAllIds); }

IdMap IdMap::parse_proc_text(std::string_view text) {
  std::vector<IdRange> ranges;
  for (const std::string_view line : split(text, '\n')) {
    std::vector<std::uint32_t> numbers;
    for (const std::string_view word : split(line, ' ')) {
      if (word.empty()) continue;
      const auto number = parse_integer<std::uint32_t>(word);
      if (!number) fail(ErrorKind::invalid_argument, "id map line \"{}\": not a number", printable(line));
      numbers.push_back(*number);
    }
    if (numbers.empty()) continue;
    if (numbers.size() != 3) fail(ErrorKind::invalid_argument, "id map line \"{}\": three numbers", printable(line));
    ranges.push_back({ContainerId{numbers[0]}, HostId{numbers[1]}, numbers[2]});
  }
  return from_ranges(std::move(ranges));
}

std::optional<HostId> IdMap::to_host(ContainerId id) const {
  for (const IdRange& range : ranges_) {
    const std::uint32_t offset = value(id) - value(range.container);
    if (value(id) >= value(range.container) && offset < range.size) return HostId{value(range.host) + offset};
  }
  return std::nullopt;
}

std::optional<ContainerId> IdMap::to_container(HostId id) const {
  for (const IdRange& range : ranges_) {
    const std::uint32_t offset = value(id) - value(range.host);
    if (value(id) >= value(range.host) && offset < range.size) return ContainerId{value(range.container) + offset};
  }
  return std::nullopt;
}

bool IdMap::is_identity() const { return size() == kAllIds && keeps_ids(); }

bool IdMap::keeps_ids() const {
  return std::ranges::all_of(ranges_, [](const IdRange& range) { return value(range.container) == value(range.host); });
}

std::uint64_t IdMap::size() const {
  std::uint64_t sum = 0;
  for (const IdRange& range : ranges_) sum += range.size;
  return sum;
}

std::string IdMap::proc_text() const {
  std::string text;
  for (const IdRange& range : ranges_) text += text_of(range) + "\n";
  return text;
}

bool IdMap::overlaps_host(const IdMap& other) const {
  return std::ranges::any_of(ranges_, [&](const IdRange& a) {
    return std::ranges::any_of(
        other.ranges_, [&](const IdRange& b) { return intersect(value(a.host), a.size, value(b.host), b.size); });
  });
}

HostId IdMaps::root_uid() const { return root_of(uid, "user"); }
HostId IdMaps::root_gid() const { return root_of(gid, "group"); }

std::string IdMaps::directory_name() const { return fmt::format("{}.{}", root_uid(), root_gid()); }

}  // namespace bryo::ids

#include "ids/range_allocator.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace bryo::ids {

namespace {

constexpr std::uint32_t kNobody = 65534;

std::uint64_t end_of(const SubRange& range) { return std::uint64_t{value(range.first)} + range.count; }

SubRange make_range(std::uint64_t first, std::uint64_t end) {
  return {HostId{static_cast<std::uint32_t>(first)}, static_cast<std::uint32_t>(end - first)};
}

// `ranges` without the ids of `taken`.
void subtract(std::vector<SubRange>& ranges, const SubRange& taken) {
  std::vector<SubRange> rest;
  for (const SubRange& range : ranges) {
    const std::uint64_t first = value(range.first);
    const std::uint64_t end = end_of(range);
    if (end_of(taken) <= first || value(taken.first) >= end) {
      rest.push_back(range);
      continue;
    }
    if (first < value(taken.first)) rest.push_back(make_range(first, value(taken.first)));
    if (end_of(taken) < end) rest.push_back(make_range(end_of(taken), end));
  }
  ranges = std::move(rest);
}

void subtract_hosts(std::vector<SubRange>& ranges, const IdMap& map) {
  for (const IdRange& range : map.ranges()) subtract(ranges, {range.host, range.size});
}

// In ring order: what lies behind the cursor comes first, the part of a range in front of it last.
std::vector<SubRange> from_cursor(std::vector<SubRange> ranges, std::uint32_t cursor) {
  std::vector<SubRange> behind;
  std::vector<SubRange> in_front;
  std::ranges::sort(ranges);
  for (const SubRange& range : ranges) {
    const std::uint64_t first = value(range.first);
    const std::uint64_t end = end_of(range);
    const std::uint64_t cut = std::clamp<std::uint64_t>(cursor, first, end);
    if (first < cut) in_front.push_back(make_range(first, cut));
    if (cut < end) behind.push_back(make_range(cut, end));
  }
  behind.insert(behind.end(), in_front.begin(), in_front.end());
  return behind;
}

// `count` ids: in one piece if the ring has such a piece, then if the pool has one, else in several. Empty: too few.
std::vector<SubRange> take(const std::vector<SubRange>& free, std::uint32_t cursor, std::uint32_t count) {
  const auto ring = from_cursor(free, cursor);
  for (const auto* list : {&ring, &free})
    for (const SubRange& range : *list)
      if (range.count >= count) return {{range.first, count}};
  std::vector<SubRange> pieces;
  std::uint32_t rest = count;
  for (const SubRange& range : ring) {
    pieces.push_back({range.first, std::min(range.count, rest)});
    rest -= pieces.back().count;
    if (rest == 0 && pieces.size() + 1 < kMaxRanges) return pieces;
  }
  return {};
}

// Container ids 0 … size-1, then 65534 where `with_nobody`, laid over the pieces.
std::vector<IdRange> lay_over(const std::vector<SubRange>& pieces, std::uint32_t size, bool with_nobody) {
  std::vector<IdRange> out;
  std::uint32_t next = 0;
  for (const SubRange& piece : pieces) {
    const std::uint32_t below = std::min(piece.count, size - next);
    if (below > 0) out.push_back({ContainerId{next}, piece.first, below});
    next += below;
    if (piece.count > below && with_nobody)
      out.push_back({ContainerId{kNobody}, HostId{value(piece.first) + below}, 1});
  }
  return out;
}

// Cuts the container ids of `extra` out of `ranges` and puts `extra` in their place.
void replace(std::vector<IdRange>& ranges, const IdRange& extra) {
  std::vector<IdRange> out;
  const std::uint64_t cut_first = value(extra.container);
  const std::uint64_t cut_end = cut_first + extra.size;
  for (const IdRange& range : ranges) {
    const std::uint64_t first = value(range.container);
    const std::uint64_t end = first + range.size;
    const auto part = [&](std::uint64_t from, std::uint64_t to) {
      if (from >= to) return;
      out.push_back({ContainerId{static_cast<std::uint32_t>(from)},
                     HostId{static_cast<std::uint32_t>(value(range.host) + (from - first))},
                     static_cast<std::uint32_t>(to - from)});
    };
    part(first, std::min(end, cut_first));
    part(std::max(first, cut_end), end);
  }
  out.push_back(extra);
  ranges = std::move(out);
}

std::uint64_t count_of(const std::vector<SubRange>& ranges) {
  std::uint64_t sum = 0;
  for (const SubRange& range : ranges) sum += range.count;
  return sum;
}

bool overlaps(const std::vector<SubRange>& pool, const IdRange& extra) {
  return std::ranges::any_of(pool, [&](const SubRange& range) {
    return value(range.first) < std::uint64_t{value(extra.host)} + extra.size && value(extra.host) < end_of(range);
  });
}

const IdMap& map_of(const IdMaps& maps, IdKind kind) { return kind == IdKind::user ? maps.uid : maps.gid; }

}  // namespace

RangeAllocator::Pool RangeAllocator::find_pool(const Accounts& accounts, const SubordinateIds& ids) {
  for (const std::string_view name : {"bryo", "containers"}) {
    Pool pool{std::string(name), {}, {}};
    // These names need no account: podman's `containers` usually has none. An unknown name is looked up in the files.
    const auto user = accounts.user(name);
    pool.uids = user ? ids.ranges(IdKind::user, *user) : ids.ranges_of_name(IdKind::user, name);
    pool.gids = user ? ids.ranges(IdKind::group, *user) : ids.ranges_of_name(IdKind::group, name);
    if (pool.uids.empty() && pool.gids.empty()) continue;
    map_over(pool.uids, fmt::format("user \"{}\" in {}", name, ids.sources().subuid));
    map_over(pool.gids, fmt::format("user \"{}\" in {}", name, ids.sources().subgid));
    return pool;
  }
  return {"bryo", {}, {}};
}

RangeAllocator::RangeAllocator(Pool pool, const std::vector<RangeLease>& leases, const std::vector<IdMaps>& reserved,
                               RangeJournal& journal)
    : pool_(std::move(pool)), reserved_(reserved), journal_(journal), cursor_(journal.load()) {
  for (const RangeLease& lease : leases) leases_.emplace(lease.container, lease.maps);
}

std::vector<SubRange> RangeAllocator::free_ranges(IdKind kind) const {
  std::vector<SubRange> ranges = kind == IdKind::user ? pool_.uids : pool_.gids;
  for (const IdMaps& maps : reserved_) subtract_hosts(ranges, map_of(maps, kind));
  for (const auto& [container, maps] : leases_) subtract_hosts(ranges, map_of(maps, kind));
  return ranges;
}

RangeAllocator::Allocation RangeAllocator::allocate_kind(IdKind kind, const Wish& wish) const {
  const auto& pool = kind == IdKind::user ? pool_.uids : pool_.gids;
  const std::string_view file = kind == IdKind::user ? "/etc/subuid" : "/etc/subgid";
  const auto& extra_mappings = kind == IdKind::user ? wish.options.uid_mappings : wish.options.gid_mappings;
  for (const IdRange& extra : extra_mappings)
    if (overlaps(pool, extra))
      fail(ErrorKind::invalid_argument, "--userns=auto: host ids {}+{} belong to the automatic ranges of user \"{}\"",
           extra.host, extra.size, pool_.owner);
  const auto free = free_ranges(kind);
  const auto pieces = take(free, kind == IdKind::user ? cursor_.uid : cursor_.gid, wish.size + wish.nobody);
  if (pieces.empty())
    fail(ErrorKind::exhausted,
         "--userns=auto: {} ids are needed and {} of {} are free: remove containers, or add a line such as "
         "{}:1000000:1000000 to {}",
         wish.size + wish.nobody, count_of(free), count_of(pool), pool_.owner, file);
  auto ranges = lay_over(pieces, wish.size, wish.nobody != 0);
  for (const IdRange& extra : extra_mappings) replace(ranges, extra);
  return {IdMap::from_ranges(std::move(ranges)), static_cast<std::uint32_t>(end_of(pieces.back()))};
}

IdMaps RangeAllocator::allocate(const std::string& container, std::uint32_t needed, const AutoOptions& options) {
  const std::lock_guard lock(mutex_);
  if (leases_.contains(container))
    fail(ErrorKind::conflict, "container {} already has ids of its own", container.substr(0, 12));
  Wish wish{options, options.size.value_or(needed), 0};
  if (wish.size == 0 || wish.size >= kAllIds) fail(ErrorKind::invalid_argument, "--userns=auto: size {}", wish.size);
  if (!options.size && wish.size <= kNobody) wish.nobody = 1;
  Allocation users = allocate_kind(IdKind::user, wish);
  Allocation groups = allocate_kind(IdKind::group, wish);
  cursor_ = {users.end, groups.end};
  IdMaps maps{std::move(users.map), std::move(groups.map)};
  leases_.emplace(container, maps);
  journal_.save(cursor_);
  return maps;
}

void RangeAllocator::release(const std::string& container) {
  const std::lock_guard lock(mutex_);
  leases_.erase(container);
}

std::uint64_t RangeAllocator::total() const { return count_of(pool_.uids); }

std::uint64_t RangeAllocator::free() const {
  const std::lock_guard lock(mutex_);
  return count_of(free_ranges(IdKind::user));
}

}  // namespace bryo::ids

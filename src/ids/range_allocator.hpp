// Which ids does this container get for --userns=auto? Ranges that no other container has.
//
// The pool is the subordinate ids of user `bryo`, else `containers`. What a container holds is remembered by the engine
// (in the container's own record): it is given to the constructor at start, and comes back by release() when the
// container is removed. Ids are handed out in a ring: those freed longest ago are re-used first, so that a file left
// behind by a removed container does not soon belong to another; the position in the ring is the only thing to persist
// (RangeJournal). A container of an engine with a daemon-wide map never shares ids with it: give the map as `reserved`.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ids/accounts.hpp"
#include "ids/id_map.hpp"
#include "ids/subordinate.hpp"

namespace bryo::ids {

inline constexpr std::uint32_t kAutoGranularity = 1024;
// An image's own tables cannot ask for more than this; --userns=auto:size=N can.
inline constexpr std::uint32_t kAutoLimit = 65536;

// --userns=auto[:size=N][,uidmapping=CONTAINER:HOST:SIZE][,gidmapping=…]
struct AutoOptions {
  std::optional<std::uint32_t> size;
  std::vector<IdRange> uid_mappings;  // laid over the automatic ids
  std::vector<IdRange> gid_mappings;

  // nullopt when `text` is not "auto" or "auto:…"; Error{invalid_argument} when it is and is malformed, or when a
  // mapping names host id 0.
  static std::optional<AutoOptions> parse(std::string_view text);
};

// How many ids an image needs: its highest uid and gid in passwd, group and USER plus one, rounded up to 1024, at least
// 1024, at most 65536. Id 65534 (nobody, nogroup) does not count: the allocator maps it by itself. Malformed lines are
// skipped; `user` is USER ("1000", "1000:1000"; names are found in the tables).
std::uint32_t needed_ids(std::string_view passwd, std::string_view group, std::string_view user);

struct RangeLease {
  std::string container;
  IdMaps maps;
};

// The last host ids handed out, to go on from after a restart.
struct RangeCursor {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// Implemented by the engine. Losing the cursor is harmless (ids are re-used earlier), so save() need not be durable.
class RangeJournal {
 public:
  virtual ~RangeJournal() = default;
  virtual RangeCursor load() = 0;
  virtual void save(const RangeCursor& cursor) = 0;
};

class RangeAllocator {
 public:
  struct Pool {
    std::string owner;  // whose ranges these are, for messages
    std::vector<SubRange> uids;
    std::vector<SubRange> gids;
  };
  // Of user `bryo`, else `containers`; an empty pool when neither has ranges (allocate() then says what to add).
  static Pool find_pool(const Accounts& accounts, const SubordinateIds& ids);

  // `leases`: of every container in the store that has ids of its own.
  RangeAllocator(Pool pool, const std::vector<RangeLease>& leases, const std::vector<IdMaps>& reserved,
                 RangeJournal& journal);

  // With options.size: exactly so many ids, from container id 0 on. Else `needed` ids, and one more for 65534: images
  // are full of accounts whose group is nogroup, and one id is cheaper than the 64512 in between. The extra mappings
  // replace what they cover.
  // The lease stands until release(), also when the engine fails to create the container: release it then.
  // Error{exhausted} when the pool has not that many free ids, with the lines to add; Error{conflict} when the
  // container has a lease.
  IdMaps allocate(const std::string& container, std::uint32_t needed, const AutoOptions& options);
  // Unknown containers are fine.
  void release(const std::string& container);

  // Ids of the pool, and how many are free now (users' ids).
  std::uint64_t total() const;
  std::uint64_t free() const;

 private:
  struct Wish {
    const AutoOptions& options;
    std::uint32_t size;    // container ids from 0 on
    std::uint32_t nobody;  // 1: and 65534
  };
  struct Allocation {
    IdMap map;
    std::uint32_t end = 0;  // cursor after it
  };
  Allocation allocate_kind(IdKind kind, const Wish& wish) const;
  std::vector<SubRange> free_ranges(IdKind kind) const;

  const Pool pool_;
  const std::vector<IdMaps> reserved_;
  RangeJournal& journal_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, IdMaps> leases_;
  RangeCursor cursor_;
};

}  // namespace bryo::ids

template <>
struct bryo::json::Fields<bryo::ids::RangeCursor> {
  static constexpr auto list = std::tuple{field("uid", &ids::RangeCursor::uid), field("gid", &ids::RangeCursor::gid)};
};

// Which host ids may a user give to containers? subuid(5), subgid(5), and libsubid when nsswitch.conf says that another
// service than "files" answers.
//
// Lines are name-or-uid:first:count. Several lines of one user add up in file order, lines by name and by number alike.
// A malformed line of the user asked for throws Error{invalid_argument} naming file and line; other people's malformed
// lines are skipped with a warning in the log. Two lines of one user that overlap are refused when a map is made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ids/accounts.hpp"
#include "ids/id_map.hpp"

namespace bryo::ids {

enum class IdKind { user, group };

// Host ids first … first+count-1.
struct SubRange {
  HostId first{};
  std::uint32_t count = 0;
  auto operator<=>(const SubRange&) const = default;
};

// A line of a file, whoever's it is.
struct OwnedRange {
  std::string owner;  // a name or a number, as written
  SubRange range;
};

// The lines of `text` whose first field is one of `keys`. `file` is for messages only. Pure.
std::vector<SubRange> parse_subordinate(std::string_view text, std::string_view file,
                                        const std::vector<std::string>& keys);

// Container ids from 0 on, laid over the ranges in their order (several lines make one map).
// `what` names the owner in messages ("user \"bozo\" in /etc/subuid"). Refuses overlaps.
IdMap map_over(const std::vector<SubRange>& ranges, std::string_view what);

class SubordinateIds {
 public:
  struct Sources {
    std::string subuid = "/etc/subuid";
    std::string subgid = "/etc/subgid";
    std::string nsswitch = "/etc/nsswitch.conf";
    bool library = false;  // ask libsubid also when nsswitch.conf names no service
  };
  SubordinateIds() = default;
  explicit SubordinateIds(Sources sources) : sources_(std::move(sources)) {}

  // Empty when the user has none (or the file is not there).
  std::vector<SubRange> ranges(IdKind kind, const User& user) const;
  // Lines whose owner is this name only (group names of user:group).
  std::vector<SubRange> ranges_of_name(IdKind kind, std::string_view name) const;
  // Lines of others that share ids with `ranges` of this user. Empty where another service than "files" answers.
  std::vector<OwnedRange> overlaps(IdKind kind, const User& user, const std::vector<SubRange>& ranges) const;
  // The lowest first id from 100000 on where 65536 ids are free in both files.
  std::uint32_t next_free_start() const;
  // Adds "name:first:65536" to both files, under the lock of shadow-utils, durably; a file that already has ranges of
  // the user stays as it is.
  void add_default_ranges(const User& user) const;
  const Sources& sources() const { return sources_; }

 private:
  const std::string& file(IdKind kind) const { return kind == IdKind::user ? sources_.subuid : sources_.subgid; }
  Sources sources_;
};

}  // namespace bryo::ids

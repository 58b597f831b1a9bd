#include "ids/keep_id.hpp"

#include <algorithm>
#include <deque>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::ids {
namespace {

constexpr std::string_view kWord = "keep-id";

// Ids of our namespace but 0, in runs that lie within one range of its map (a range of a child's map must).
class Supply {
 public:
  explicit Supply(const IdMap& outside) {
    for (const IdRange& range : outside.ranges()) {
      const std::uint32_t first = value(range.container);
      if (first != 0)
        runs_.push_back({first, range.size});
      else if (range.size > 1)
        runs_.push_back({1, range.size - 1});
    }
  }

  // `count` of them, for container ids from `container` on; fewer when there are no more.
  void take(std::uint32_t container, std::uint64_t count, std::vector<IdRange>& into) {
    while (count > 0 && !runs_.empty()) {
      Run& run = runs_.front();
      const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, run.size));
      into.push_back({ContainerId{container}, HostId{run.first}, size});
      container += size;
      count -= size;
      run = {run.first + size, run.size - size};
      if (run.size == 0) runs_.pop_front();
    }
  }

 private:
  struct Run {
    std::uint32_t first;
    std::uint32_t size;
  };
  std::deque<Run> runs_;
};

IdMap keep(const IdMap& outside, std::optional<std::uint32_t> asked, std::optional<std::uint32_t> size) {
  const auto caller = outside.to_host(ContainerId{0});
  if (!caller) fail(ErrorKind::unsupported, "--userns=keep-id: the caller has no id in this user namespace");
  const std::uint32_t kept = asked.value_or(value(*caller));
  const std::uint64_t total = size ? std::min<std::uint64_t>(*size, outside.size()) : outside.size();
  if (kept >= total)
    fail(ErrorKind::exhausted,
         "--userns=keep-id: id {} is above the {} ids that containers have here: give the user more in /etc/subuid and "
         "/etc/subgid, or name a lower one with keep-id:uid=N,gid=N",
         kept, total);
  Supply supply(outside);
  std::vector<IdRange> ranges;
  supply.take(0, kept, ranges);
  ranges.push_back({ContainerId{kept}, HostId{0}, 1});
  supply.take(kept + 1, total - kept - 1, ranges);
  return IdMap::from_ranges(std::move(ranges));
}

}  // namespace

std::optional<KeepIdOptions> KeepIdOptions::parse(std::string_view text) {
  if (text == kWord) return KeepIdOptions{};
  if (!text.starts_with("keep-id:")) return std::nullopt;
  KeepIdOptions options;
  for (const std::string_view word : split(text.substr(kWord.size() + 1), ',')) {
    const auto pair = split_once(word, '=');
    const auto number = pair ? parse_integer<std::uint32_t>(pair->second) : std::nullopt;
    const bool good = number && *number != kAllIds;
    if (good && pair->first == "uid")
      options.uid = number;
    else if (good && pair->first == "gid")
      options.gid = number;
    else if (good && pair->first == "size" && *number > 0)
      options.size = number;
    else
      fail(ErrorKind::invalid_argument, "--userns=\"{}\": options are uid=N, gid=N and size=N", printable(text, 100));
  }
  return options;
}

IdMaps keep_id_maps(const IdMaps& outside, const KeepIdOptions& options) {
  return {keep(outside.uid, options.uid, options.size), keep(outside.gid, options.gid, options.size)};
}

}  // namespace bryo::ids

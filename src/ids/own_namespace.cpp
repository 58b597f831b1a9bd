#include "ids/own_namespace.hpp"

#include <fcntl.h>

#include "kernel/files.hpp"

namespace bryo::ids {
namespace {

constexpr std::size_t kMaxText = 16384;  // 340 lines of three numbers

IdMap read_map(const std::string& path) {
  const UniqueFd file = kernel::open_at(AT_FDCWD, path, O_RDONLY);
  return IdMap::parse_proc_text(kernel::read_file(file.get(), kMaxText));
}

IdMap keep(const IdMap& map) {
  // Not joined, though 0 … 0 and 1 … 65536 are neighbours: a range of a child's map must lie in one of the parent's.
  std::vector<IdRange> ranges;
  for (const IdRange& range : map.ranges())
    ranges.push_back({range.container, HostId{value(range.container)}, range.size});
  return IdMap::from_ranges(std::move(ranges));
}

}  // namespace

IdMaps outside_of_own_namespace() { return {read_map("/proc/self/uid_map"), read_map("/proc/self/gid_map")}; }

IdMaps within_own_namespace() {
  const IdMaps outside = outside_of_own_namespace();
  return {keep(outside.uid), keep(outside.gid)};
}

}  // namespace bryo::ids

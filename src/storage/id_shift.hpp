// Between the ids on disk and the ids in an archive: a tar of a container's files holds the container's ids. Ids
// outside the map are refused on the way in and become 65534 (nobody) on the way out, as the container itself sees
// them.
#pragma once

#include <cstdint>

#include "ids/id_map.hpp"
#include "kernel/paths.hpp"

namespace bryo::storage {

class IdShift {
 public:
  // Disk and archive have the same ids.
  IdShift() = default;
  // The disk has the host's ids, the archive the container's.
  explicit IdShift(const ids::IdMaps& maps);
  // For layers: disk and archive have the same ids, but in a user namespace only some exist, and the others become
  // 65534 on disk.
  static IdShift folded();

  bool none() const { return none_; }
  kernel::Owner to_disk(std::uint32_t uid, std::uint32_t gid) const;
  kernel::Owner to_archive(uid_t uid, gid_t gid) const;

 private:
  bool none_ = true;
  bool folds_ = false;
  ids::IdMaps maps_;
};

}  // namespace bryo::storage

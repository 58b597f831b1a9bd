// Images copied once with the ids of a map: for containers whose ids differ from those on disk where mounts cannot be
// idmapped (in a user namespace the kernel lets nobody idmap the machine's file systems). Overlay then takes the copy
// as its one lower layer.
//
//   <root>/shifted/<hash of chain id and map>/
//
// A copy that no container uses any more is kept for the next one, a few of them, as long as its image is there.
// Any thread.
#pragma once

#include <deque>
#include <mutex>
#include <set>
#include <string>

#include "base/digest.hpp"
#include "ids/id_map.hpp"
#include "storage/data_root.hpp"
#include "storage/layer_store.hpp"

namespace bryo::storage {

class ShiftedImages {
 public:
  ShiftedImages(DataRoot& root, LayerStore& layers);

  // Where the copies lie, and the name of one of them there.
  std::string directory() const;
  static std::string name_of(const std::optional<Digest>& top, const ids::IdMaps& maps);
  // Makes the copy unless it is there; says so in the log, since it takes the time and the space of the image.
  // Error{invalid_argument} when a file's owner is not in the map, Error{exhausted} when the disk is full.
  std::string require(const std::optional<Digest>& top, const ids::IdMaps& maps);
  // Nothing but `used`, and the last few of the others, stays.
  void collect(const std::set<std::string>& used);

 private:
  static constexpr std::size_t kKept = 4;
  void copy(const std::optional<Digest>& top, const ids::IdMaps& maps, const std::string& name);

  DataRoot& root_;
  LayerStore& layers_;
  std::mutex mutex_;
  std::deque<std::string> there_;  // guarded by mutex_; longest unused first
};

}  // namespace bryo::storage

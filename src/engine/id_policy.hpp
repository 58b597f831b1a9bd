// Which ids does a container get? Decided once, when it is created, from --userns and the engine's --userns-remap:
//
//   engine without map:  containers are not mapped; --userns=auto gives one a range of its own
//   engine with a map:   the engine's map; --userns=host opts out; --userns=auto as above
//   engine without root: a user namespace with the ids of the engine's own; --userns=auto gives some of them, that no
//                        other container with it has; --userns=keep-id orders them so that the caller is a given user
//
// Containers live below the engine's map's directory (scope) whatever map they have themselves. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/options.hpp"
#include "engine/record.hpp"
#include "ids/range_allocator.hpp"
#include "ids/remap.hpp"
#include "storage/document_store.hpp"

namespace bryo::engine {

class IdPolicy {
 public:
  // Resolves --userns-remap on this host. Errors say what line to add where.
  IdPolicy(const Options& options, storage::DocumentStore& documents);
  ~IdPolicy();

  bool remapped() const { return !maps_.is_identity(); }
  // The engine has no root: its containers' ids are its caller's.
  bool rootless() const { return rootless_; }
  const ids::IdMaps& maps() const { return maps_; }
  // "165536.165536", or "" without a map.
  const std::string& scope() const { return scope_; }
  const std::string& user() const { return user_; }
  const std::string& group() const { return group_; }

  // What `userns` of a request means here. Error{invalid_argument} for words we do not know.
  MapMode mode_of(std::string_view userns) const;
  // The container's maps. `needed`: ids that its image uses, asked for only when the mode is automatic.
  ids::IdMaps maps_for(MapMode mode, const std::string& container, std::string_view userns, std::uint32_t needed);
  void release(const std::string& container);
  // Ids for --userns=auto: whose, how many, how many free.
  json::Value describe() const;

 private:
  class Journal;
  ids::RangeAllocator& allocator();
  ids::RangeAllocator::Pool own_pool() const;

  std::string userns_default_;
  bool rootless_ = false;
  storage::DocumentStore& documents_;
  ids::IdMaps maps_ = ids::IdMaps::identity();
  std::string scope_;
  std::string user_;
  std::string group_;
  std::unique_ptr<Journal> journal_;
  std::mutex mutex_;
  std::unique_ptr<ids::RangeAllocator> allocator_;  // made at the first --userns=auto
};

}  // namespace bryo::engine

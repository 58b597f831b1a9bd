// Which container is meant? All containers of this engine's map, by id, id prefix and name. Thread-safe.
#pragma once

#include <map>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/container.hpp"

namespace bryo::engine {

class ContainerTable {
 public:
  // Error{not_found} "No such container: x"; Error{invalid_argument} when a prefix fits several.
  ContainerPtr find(std::string_view ref) const;
  ContainerPtr try_find(std::string_view ref) const;
  std::vector<ContainerPtr> all() const;
  std::size_t size() const;

  // Holds a name until it is given to add() or released; Error{conflict} with Docker's text. An empty name: invents
  // one.
  std::string reserve_name(std::string_view name, const std::string& id);
  void release_name(const std::string& name);
  // The record's name was reserved for this id.
  void add(ContainerPtr container);
  void rename(const std::string& id, const std::string& from, const std::string& to);
  void remove(const std::string& id, const std::string& name);

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, ContainerPtr, std::less<>> by_id_;
  std::map<std::string, std::string, std::less<>> ids_by_name_;
};

}  // namespace bryo::engine

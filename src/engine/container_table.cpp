#include "engine/container_table.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/names.hpp"

namespace bryo::engine {

ContainerPtr ContainerTable::try_find(std::string_view ref) const {
  if (ref.starts_with('/')) ref.remove_prefix(1);
  std::shared_lock lock(mutex_);
  if (const auto exact = by_id_.find(ref); exact != by_id_.end()) return exact->second;
  if (const auto named = ids_by_name_.find(ref); named != ids_by_name_.end()) {
    const auto found = by_id_.find(named->second);
    return found == by_id_.end() ? nullptr : found->second;  // reserved, not there yet
  }
  if (ref.empty()) return nullptr;
  const auto first = by_id_.lower_bound(ref);
  if (first == by_id_.end() || !first->first.starts_with(ref)) return nullptr;
  if (const auto second = std::next(first); second != by_id_.end() && second->first.starts_with(ref))
    fail(ErrorKind::invalid_argument, "Multiple IDs found with provided prefix: {}", printable(ref));
  return first->second;
}

ContainerPtr ContainerTable::find(std::string_view ref) const {
  if (auto found = try_find(ref)) return found;
  fail(ErrorKind::not_found, "No such container: {}", printable(ref));
}

std::vector<ContainerPtr> ContainerTable::all() const {
  std::shared_lock lock(mutex_);
  std::vector<ContainerPtr> out;
  out.reserve(by_id_.size());
  for (const auto& [id, container] : by_id_) out.push_back(container);
  return out;
}

std::size_t ContainerTable::size() const {
  std::shared_lock lock(mutex_);
  return by_id_.size();
}

std::string ContainerTable::reserve_name(std::string_view name, const std::string& id) {
  if (name.starts_with('/')) name.remove_prefix(1);
  if (!name.empty() && !is_valid_name(name))
    fail(ErrorKind::invalid_argument, "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
         printable(name));
  std::unique_lock lock(mutex_);
  if (name.empty()) {
    std::string invented = random_name(false);
    while (ids_by_name_.contains(invented)) invented = random_name(true);
    ids_by_name_.emplace(invented, id);
    return invented;
  }
  const auto [place, fresh] = ids_by_name_.emplace(name, id);
  if (!fresh)
    fail(ErrorKind::conflict,
         "Conflict. The container name \"/{}\" is already in use by container \"{}\". You have to remove (or rename) "
         "that "
         "container to be able to reuse that name.",
         name, place->second);
  return std::string(name);
}

void ContainerTable::release_name(const std::string& name) {
  std::unique_lock lock(mutex_);
  ids_by_name_.erase(name);
}

void ContainerTable::add(ContainerPtr container) {
  std::unique_lock lock(mutex_);
  ids_by_name_.insert_or_assign(container->record.name, container->record.id);
  by_id_.insert_or_assign(container->record.id, std::move(container));
}

void ContainerTable::rename(const std::string& id, const std::string& from, const std::string& to) {
  std::unique_lock lock(mutex_);
  ids_by_name_.erase(from);
  ids_by_name_.insert_or_assign(to, id);
}

void ContainerTable::remove(const std::string& id, const std::string& name) {
  std::unique_lock lock(mutex_);
  by_id_.erase(id);
  ids_by_name_.erase(name);
}

}  // namespace bryo::engine

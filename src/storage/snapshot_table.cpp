#include "storage/snapshot_table.hpp"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::storage {
namespace {

constexpr const char* kKind = "snapshot";
constexpr const char* kDirectory = "snapshots";

// "165536.165536"
bool is_scope(std::string_view name) {
  const auto parts = split_once(name, '.');
  return parts && parse_integer<std::uint32_t>(parts->first) && parse_integer<std::uint32_t>(parts->second);
}

void log_failure(std::exception_ptr failure) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    log::error("record a snapshot: {}", error.what());
  }
}

}  // namespace

SnapshotTable::SnapshotTable(std::string driver, DataRoot& root, DocumentStore& documents)
    : driver_(std::move(driver)), root_(root), documents_(documents) {
  load();
  std::set<std::string> scopes = {""};
  const UniqueFd top = kernel::open_trusted(root_.path(), O_RDONLY | O_DIRECTORY);
  for (auto& entry : kernel::read_directory(top.get()))
    if (is_scope(entry.name)) scopes.insert(std::move(entry.name));
  for (const auto& scope : scopes) drop_unrecorded(scope);
}

void SnapshotTable::load() {
  for (const auto& document : documents_.list(kKind))
    snapshots_.emplace(SnapshotName{document.key.scope, document.key.id},
                       json::decode<SnapshotRecord>(json::parse(document.text)));
}

void SnapshotTable::drop_unrecorded(const std::string& scope) {
  const std::string relative = scope.empty() ? kDirectory : scope + "/" + kDirectory;
  const auto directory = root_.directory().try_resolve(relative, O_RDONLY | O_DIRECTORY);
  if (!directory) return;
  for (const auto& entry : kernel::read_directory(directory->get()))
    if (!snapshots_.contains({scope, entry.name})) root_.discard(relative + "/" + entry.name);
}

std::string SnapshotTable::relative(const SnapshotName& name) const {
  const std::string scope = name.scope.empty() ? std::string() : name.scope + "/";
  return scope + kDirectory + "/" + name.id;
}

std::string SnapshotTable::path_of(const SnapshotName& name) const { return root_.path() + "/" + relative(name); }

bool SnapshotTable::exists(const SnapshotName& name) const {
  const std::lock_guard lock(mutex_);
  return snapshots_.contains(name);
}

SnapshotRecord SnapshotTable::get(const SnapshotName& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = snapshots_.find(name);
  if (found == snapshots_.end()) fail(ErrorKind::not_found, "no root file system for container {}", name.id);
  if (found->second.driver != driver_)
    fail(ErrorKind::unsupported,
         "container {} was made with the storage driver {}, and this is {}: start the engine "
         "with --storage-driver={}",
         name.id, found->second.driver, driver_, found->second.driver);
  return found->second;
}

std::vector<SnapshotDriver::Listed> SnapshotTable::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<SnapshotDriver::Listed> all;
  for (const auto& [name, record] : snapshots_) all.push_back({name, record.top});
  return all;
}

std::map<SnapshotName, SnapshotRecord> SnapshotTable::records() const {
  const std::lock_guard lock(mutex_);
  return snapshots_;
}

void SnapshotTable::claim(const SnapshotName& name, const SnapshotRecord& record) {
  if (!kernel::is_plain_name(name.id))
    fail(ErrorKind::invalid_argument, "snapshot \"{}\": not a plain name", printable(name.id));
  root_.scoped_directory(name.scope, kDirectory);
  const std::lock_guard lock(mutex_);
  if (!snapshots_.emplace(name, record).second)
    fail(ErrorKind::conflict, "container {} has a root file system already", name.id);
}

void SnapshotTable::install(const SnapshotName& name, const SnapshotRecord& record, const std::string& temporary) {
  kernel::rename_at(root_.fd(), temporary, root_.fd(), relative(name));
  root_.step("snapshot: renamed");
  // Durable together with the container's own record, or not at all: then the directory is collected.
  documents_.defer({DocumentStore::change({kKind, name.scope, name.id}, record)}, log_failure);
}

void SnapshotTable::forget(const SnapshotName& name) {
  const std::lock_guard lock(mutex_);
  snapshots_.erase(name);
}

void SnapshotTable::remove(const SnapshotName& name) {
  if (!exists(name)) return;
  documents_.defer({DocumentStore::removal({kKind, name.scope, name.id})}, log_failure);
  root_.discard(relative(name));
  forget(name);
}

std::map<SnapshotName, SnapshotRecord> SnapshotTable::missing() const {
  std::map<SnapshotName, SnapshotRecord> out = records();
  std::erase_if(out, [&](const auto& snapshot) {
    return snapshot.second.driver != driver_ || kernel::try_stat_at(root_.fd(), relative(snapshot.first));
  });
  return out;
}

void SnapshotTable::put_back(const SnapshotName& name, const std::string& temporary) {
  root_.scoped_directory(name.scope, kDirectory);
  kernel::rename_at(root_.fd(), temporary, root_.fd(), relative(name));
  log::warning("the file system of container {} was missing on disk: it begins anew, as its image", name.id);
}

void SnapshotTable::cannot_put_back(const SnapshotName& name, const Error& error) {
  log::error("the file system of container {} is missing on disk: {}", name.id, error.message());
}

}  // namespace bryo::storage

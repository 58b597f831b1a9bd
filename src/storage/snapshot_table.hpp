// What both drivers share: which snapshots there are, and their directories <root>[/<scope>]/snapshots/<id>/.
//
// A snapshot is there when its record is (kind "snapshot"). The record is written behind the caller's back, in order:
// whatever the caller writes later is durable only with it. Directories without a record are unfinished work and go to
// the trash at start; a record whose (empty) directory a crash has taken gets a new one. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/digest_json.hpp"
#include "base/json.hpp"
#include "ids/id_map.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"
#include "storage/snapshot_driver.hpp"

namespace bryo::storage {

struct SnapshotRecord {
  std::string driver;
  std::optional<Digest> top;
  ids::IdMaps maps;
};

class SnapshotTable {
 public:
  SnapshotTable(std::string driver, DataRoot& root, DocumentStore& documents);

  bool exists(const SnapshotName& name) const;
  // Error{not_found}; Error{unsupported} for a snapshot of the other driver.
  SnapshotRecord get(const SnapshotName& name) const;
  std::vector<SnapshotDriver::Listed> list() const;
  std::map<SnapshotName, SnapshotRecord> records() const;
  // Absolute path of the snapshot's directory.
  std::string path_of(const SnapshotName& name) const;

  // Claims the name, lets `fill` make the content in a temporary directory (relative to the root), moves it into place.
  // Error{conflict} when the name is taken, Error{invalid_argument} when it is no plain name.
  template <typename Fill>
  void add(const SnapshotName& name, const SnapshotRecord& record, Fill fill) {
    claim(name, record);
    try {
      const std::string temporary = root_.make_temporary("snapshot");
      fill(temporary);
      install(name, record, temporary);
    } catch (...) {
      forget(name);
      throw;
    }
  }
  void remove(const SnapshotName& name);
  // Records whose directory a crash has taken get a new one, as `fill` made the first. For the driver's constructor.
  template <typename Fill>
  void remake_missing(Fill fill) {
    for (const auto& [name, record] : missing()) {
      const std::string temporary = root_.make_temporary("snapshot");
      try {
        fill(record, temporary);
        put_back(name, temporary);
      } catch (const Error& error) {
        cannot_put_back(name, error);
      }
    }
  }

 private:
  std::string relative(const SnapshotName& name) const;
  void claim(const SnapshotName& name, const SnapshotRecord& record);
  void install(const SnapshotName& name, const SnapshotRecord& record, const std::string& temporary);
  void forget(const SnapshotName& name);
  // Of this driver, without a directory.
  std::map<SnapshotName, SnapshotRecord> missing() const;
  void put_back(const SnapshotName& name, const std::string& temporary);
  static void cannot_put_back(const SnapshotName& name, const Error& error);
  void load();
  void drop_unrecorded(const std::string& scope);

  const std::string driver_;
  DataRoot& root_;
  DocumentStore& documents_;
  mutable std::mutex mutex_;
  std::map<SnapshotName, SnapshotRecord> snapshots_;  // guarded by mutex_
};

}  // namespace bryo::storage

template <>
struct bryo::json::Fields<bryo::storage::SnapshotRecord> {
  using T = storage::SnapshotRecord;
  static constexpr auto list = std::tuple{field("driver", &T::driver), field("top", &T::top), field("maps", &T::maps)};
};

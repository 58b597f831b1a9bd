// What ImageStore's files share.
#pragma once

#include <condition_variable>
#include <mutex>

#include "images/image_index.hpp"
#include "images/image_store.hpp"
#include "images/reference.hpp"

namespace bryo::images {

class ImageStore::Impl {
 public:
  Impl(storage::DataRoot& data_root, storage::DocumentStore& document_store, storage::BlobStore& blob_store,
       storage::LayerStore& layer_store, const storage::SnapshotDriver& driver, std::string in_scope)
      : root(data_root),
        documents(document_store),
        blobs(blob_store),
        layers(layer_store),
        snapshots(driver),
        scope(std::move(in_scope)),
        index(document_store, scope) {}

  // Ids, names and prefixes; nullopt when there is none. Ambiguous prefixes throw.
  std::optional<Digest> look_up(std::string_view ref) const;
  Image resolve(std::string_view ref) const;
  oci::ImageConfig config_of(const Digest& id) const;
  std::vector<Digest> children_of(const Digest& id) const;

  // No lease may begin while garbage is collected, and none is collected while one lives.
  void begin_lease();
  void end_lease();
  // false while a lease lives: the end of the last one collects then.
  bool begin_collection();
  // true when another one was asked for meanwhile and may begin.
  bool end_collection();
  void collect();

  storage::DataRoot& root;
  storage::DocumentStore& documents;
  storage::BlobStore& blobs;
  storage::LayerStore& layers;
  const storage::SnapshotDriver& snapshots;
  const std::string scope;
  ImageIndex index;
  std::mutex change;  // serialises what reads names and then changes them (tag, remove)

 private:
  void collect_once();
  std::mutex lease_mutex_;
  std::condition_variable lease_changed_;
  std::size_t leases_ = 0;
  bool collecting_ = false;
  bool wanted_ = false;
};

// "busybox:latest" for the full name.
std::string shown_name(std::string_view full_name);
std::int64_t unix_seconds(std::string_view rfc3339);

}  // namespace bryo::images

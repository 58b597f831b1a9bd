// The records behind ImageStore: images by id, names to ids; in memory, and in the document store. Thread-safe.
//
// Kind "image" (id: hex of the config's digest) and kind "reference" (id: the full name, with tag or with digest).
#pragma once

#include <map>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "images/image_store.hpp"

namespace bryo::images {

struct ImageRecord {
  Digest id;
  oci::Descriptor manifest;
  std::vector<Digest> chain_ids;
  std::vector<oci::Descriptor> layers;
  Digest parent;  // empty: none
  std::int64_t size = 0;
  std::string last_tagged;
  std::string created;  // of the config, RFC 3339
};

struct ReferenceRecord {
  Digest image;
};

class ImageIndex {
 public:
  ImageIndex(storage::DocumentStore& documents, std::string scope);

  std::optional<Image> find(const Digest& id) const;
  std::optional<Digest> named(const std::string& full_name) const;
  // All ids that begin with these hex digits; at most two are looked for.
  std::vector<Digest> with_prefix(std::string_view hex) const;
  std::vector<Image> all() const;
  std::string created_of(const Digest& id) const;

  // One durable transaction together with `more`. Names move from the images that had them.
  Image put(ImageRecord record, const std::vector<std::string>& names, std::vector<storage::Change> more);
  void name(const Digest& id, const std::string& full_name);
  void unname(const std::vector<std::string>& full_names);
  // With all its names.
  void erase(const Digest& id);

 private:
  Image view(const ImageRecord& record) const;
  storage::DocumentKey image_key(const Digest& id) const { return {"image", scope_, id.hex()}; }
  storage::DocumentKey name_key(const std::string& name) const { return {"reference", scope_, name}; }

  storage::DocumentStore& documents_;
  const std::string scope_;
  mutable std::shared_mutex mutex_;
  std::map<Digest, ImageRecord> images_;              // guarded by mutex_
  std::map<std::string, Digest, std::less<>> names_;  // likewise
};

}  // namespace bryo::images

template <>
struct bryo::json::Fields<bryo::images::ImageRecord> {
  using T = bryo::images::ImageRecord;
  static constexpr auto list = std::tuple{field("id", &T::id),
                                          field("manifest", &T::manifest),
                                          field("chainIds", &T::chain_ids),
                                          field("layers", &T::layers),
                                          field("parent", &T::parent),
                                          field("size", &T::size),
                                          field("lastTagged", &T::last_tagged),
                                          field("created", &T::created)};
};

template <>
struct bryo::json::Fields<bryo::images::ReferenceRecord> {
  static constexpr auto list = std::tuple{field("image", &bryo::images::ReferenceRecord::image)};
};

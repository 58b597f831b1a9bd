// Which images are here, by which names, and what do they hold? One store for every id map; with
// --image-store=isolated each map has one of its own (scope), over the same blobs and layers.
//
// An image's id is the digest of its config. Manifests are kept as they came, so that an unchanged push has the same
// digest. Names are kept in full ("docker.io/library/busybox:latest") and shown as people type them ("busybox:latest").
// Records: kind "image" (id: hex) and kind "reference" (id: full name). Everything is durable when a call returns.
// Any thread. Who uses an image is known above: callers give it as ImageUsers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/digest.hpp"
#include "images/image_views.hpp"
#include "oci/image.hpp"
#include "storage/blob_store.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"
#include "storage/layer_store.hpp"
#include "storage/snapshot_driver.hpp"

namespace bryo::images {

// Same shape as Docker's filters: {"label": ["a=b"], "dangling": ["true"]}.
using Filters = std::map<std::string, std::vector<std::string>>;

struct Image {
  Digest id;
  oci::Descriptor manifest;             // the platform's own manifest
  std::optional<Digest> top;            // chain id of the last layer
  std::vector<Digest> chain_ids;        // base first
  std::vector<oci::Descriptor> layers;  // blobs, as in the manifest, base first
  std::optional<Digest> parent;         // image this was committed or built from here
  std::int64_t size = 0;                // bytes of all layers, unpacked
  std::string last_tagged;              // RFC 3339
  std::vector<std::string> tags;        // full, sorted: "docker.io/library/busybox:latest"
  std::vector<std::string> digests;     // full, sorted: "docker.io/library/busybox@sha256:…"
};

struct NewImage {
  std::string config;  // the bytes: their digest is the id
  std::string manifest;
  std::string manifest_type;            // media type; with an empty manifest one is made from `layers`
  std::vector<oci::Descriptor> layers;  // of the blobs, base first; as many as the config has diff ids
  std::vector<std::string> references;  // full names with tag, and full names with digest
  std::optional<Digest> parent;
  // What was stored with Durability::later for this image; made durable together with the image's own records.
  std::vector<storage::BlobInfo> blobs;
  std::vector<storage::LayerInfo> unpacked;
};

// A container that uses an image: for conflicts and for what must be kept.
struct ImageUser {
  std::string container_id;
  Digest image;
  bool running = false;
};
using ImageUsers = std::function<std::vector<ImageUser>()>;

// One line of `docker rmi`: exactly one of the two is set.
struct Removed {
  std::string untagged;  // "busybox:latest"
  std::string deleted;   // "sha256:…" of an image, or of a layer (chain id)
};

struct PruneResult {
  std::vector<Removed> removed;
  std::uint64_t reclaimed = 0;
};

struct CommitInput {
  std::optional<Digest> parent;  // the container's image
  oci::RunConfig config;         // of the new image, after --change
  std::string author;
  std::string comment;
  std::string created_by;  // history: the container's command
  std::string container_id;
  std::optional<oci::RunConfig> container_config;
  std::string reference;  // "repo:tag" as typed; empty: none
  // Writes the container's changes (SnapshotDriver::export_diff).
  std::function<void(ByteSink&)> diff;
};

struct ImportInput {
  std::string reference;
  std::string message;
  oci::RunConfig config;  // from --change
  oci::Platform platform;
};

// Text lines and byte progress of load, import: {"stream":"Loaded image: busybox:latest\n"} …
using Progress = std::function<void(const json::Value&)>;

class ImageStore {
 public:
  class Impl;  // image_store_impl.hpp: for this module's files only

  // `snapshots` tells which layers containers stand on.
  ImageStore(storage::DataRoot& root, storage::DocumentStore& documents, storage::BlobStore& blobs,
             storage::LayerStore& layers, const storage::SnapshotDriver& snapshots, std::string scope = "");
  ~ImageStore();
  ImageStore(const ImageStore&) = delete;
  ImageStore& operator=(const ImageStore&) = delete;

  // While one of these lives, no blob and no layer is collected: hold it from the first look at what is already here
  // until add() has returned.
  class Lease {
   public:
    Lease(Lease&&) noexcept;
    Lease& operator=(Lease&&) noexcept;
    ~Lease();

   private:
    friend class ImageStore;
    struct State;
    explicit Lease(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  Lease lease();
  // Blobs and layers must be there. An image that exists gets the new references.
  Image add(NewImage image);

  // name[:tag], name@digest, name:tag@digest, id, "sha256:"id, unambiguous id prefix.
  // Error{not_found} "No such image: x"; Error{invalid_argument} for an ambiguous prefix or a malformed name.
  Image resolve(std::string_view ref) const;
  std::optional<Image> find(std::string_view ref) const;
  std::optional<Image> find_id(const Digest& id) const;
  std::vector<Image> list() const;
  std::string config_text(const Digest& id) const;
  oci::ImageConfig config_of(const Digest& id) const;
  std::string manifest_text(const Image& image) const;

  // Newest first. Filters: dangling, label, label!, before, since, reference, until.
  std::vector<ImageSummary> summaries(bool all, const Filters& filters, bool shared_size) const;
  ImageInspect inspect(std::string_view ref) const;
  std::vector<HistoryItem> history(std::string_view ref) const;

  // `repository[:tag]` as typed, or repository and tag. Moves the tag when it is another image's.
  // Returns the name as shown.
  std::string tag(std::string_view ref, std::string_view repository, std::string_view tag);
  // docker rmi: Docker's rules and texts (conflicts, -f, --no-prune).
  std::vector<Removed> remove(std::string_view ref, bool force, bool no_prune, const ImageUsers& users);
  // docker image prune; filters dangling (default true), label, label!, until.
  PruneResult prune(const Filters& filters, const ImageUsers& users);
  // Bytes of all layers, each once: LayersSize of system df.
  std::int64_t layers_size() const;

  Image commit(const CommitInput& input);
  Image import(const ImportInput& input, ByteSource& tar);
  // docker-archive with OCI layout inside, as current Docker writes it. A name gives its tags, an id no name.
  void save(const std::vector<std::string>& refs, ByteSink& sink) const;
  // Both forms. Lines: "Loaded image: name:tag", "Loaded image ID: sha256:…".
  std::vector<Image> load(ByteSource& archive, bool quiet, const Progress& progress);

  // Removes blobs and layers that nothing refers to, unless a Lease lives. Called by remove, prune and at start.
  void collect_garbage();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::images

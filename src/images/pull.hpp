// docker pull: from a reference to an image in the store.
//
// Layers are fetched several at a time and go straight into the store's unpacking, the compressed blob is kept. Two
// pulls that want the same layer share one download (single flight). The image, its tag and its layers become visible
// together, after everything was verified and is durable (one sync for the whole pull). Thread-safe; calls block.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "images/image_store.hpp"
#include "images/pull_progress.hpp"
#include "images/reference.hpp"
#include "oci/image.hpp"
#include "registry/client.hpp"

namespace bryo::images {

struct PullRequest {
  Reference reference;
  bool all_tags = false;                  // docker pull -a
  std::optional<oci::Platform> platform;  // default: this machine's
  registry::Credentials credentials;
};

struct PullResult {
  Digest digest;    // what the tag pointed at: index or manifest
  Digest image_id;  // digest of the config
  bool updated = false;
};

class Puller {
 public:
  // max_downloads: of one engine at the same time, over all pulls (--max-concurrent-downloads).
  Puller(registry::Client& client, storage::BlobStore& blobs, storage::LayerStore& layers, int max_downloads = 3);
  ~Puller();
  Puller(const Puller&) = delete;
  Puller& operator=(const Puller&) = delete;

  // Into `store` (each id map may have its own). With all_tags: the result of the last tag.
  // Error{unsupported} for schema 1 images, Error{not_found} "no matching manifest for linux/amd64 in the manifest list
  // entries".
  PullResult pull(ImageStore& store, const PullRequest& request, const ProgressEvents& progress,
                  const registry::Cancelled& cancelled = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::images

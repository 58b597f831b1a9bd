// docker push: from an image in the store to a registry.
//
// Layers that the registry has are not sent; layers kept as blobs are sent as they came; the image's own manifest is
// used again while it describes these very blobs, so that the digest stays the same. Only what was never compressed
// here (commit, import) is compressed now. Thread-safe; calls block.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "images/image_store.hpp"
#include "images/pull_progress.hpp"
#include "images/reference.hpp"
#include "registry/client.hpp"

namespace bryo::images {

struct PushRequest {
  Reference reference;    // with a tag; without one see all_tags
  bool all_tags = false;  // docker push -a: every tag of the repository
  registry::Credentials credentials;
};

struct PushResult {
  std::string tag;
  Digest digest;
  std::size_t size = 0;  // of the manifest
};

class Pusher {
 public:
  Pusher(registry::Client& client, storage::BlobStore& blobs, storage::LayerStore& layers, int max_uploads = 5);
  ~Pusher();
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  // Error{not_found} "An image does not exist locally with the tag: x".
  std::vector<PushResult> push(ImageStore& store, const PushRequest& request, const ProgressEvents& progress,
                               const registry::Cancelled& cancelled = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::images

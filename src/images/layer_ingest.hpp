// One layer from a stream into both stores at once: the compressed blob is hashed and kept, and the layer unpacked,
// while the bytes still arrive; nothing is written and read again.
//
// Blocking; several layers of an image may be ingested at the same time from several threads. What is returned was
// stored with Durability::later: hand it to ImageStore::add (NewImage::blobs, ::unpacked), under an ImageStore::Lease.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/bytes.hpp"
#include "oci/image.hpp"
#include "storage/blob_store.hpp"
#include "storage/layer_store.hpp"

namespace bryo::images {

struct IngestRequest {
  oci::Descriptor descriptor;    // digest and size are verified
  Digest diff_id;                // from the config; verified
  std::optional<Digest> parent;  // chain id of the layer below
  storage::UnpackLimits limits;
  // Compressed bytes read from the source so far / unpacked so far.
  std::function<void(std::uint64_t)> downloaded;
  std::function<void(std::uint64_t)> extracted;
};

struct IngestedLayer {
  storage::BlobInfo blob;
  storage::LayerInfo layer;
};

// Both are here already: nothing needs to be fetched.
std::optional<IngestedLayer> already_here(const storage::BlobStore& blobs, const storage::LayerStore& layers,
                                          const IngestRequest& request);

// Throws Error{invalid_argument} when digest, size or diff id do not match; then nothing remains.
IngestedLayer ingest_layer(storage::BlobStore& blobs, storage::LayerStore& layers, const IngestRequest& request,
                           ByteSource& source);

}  // namespace bryo::images

// What no image and no container refers to is collected: blobs and layers, never while a Lease lives.
#include <set>

#include "base/log.hpp"
#include "images/image_store_impl.hpp"

namespace bryo::images {
namespace {

struct InUse {
  std::set<Digest> blobs;
  std::set<Digest> layers;
};

}  // namespace

void ImageStore::collect_garbage() {
  if (!impl_->begin_collection()) return;
  struct End {
    Impl& impl;
    ~End() { impl.end_collection(); }
  } end{*impl_};
  InUse used;
  // Images of every scope: blobs and layers are shared.
  for (const auto& document : impl_->documents.list("image")) {
    const auto record = json::decode<ImageRecord>(json::parse(document.text));
    used.blobs.insert({record.id, record.manifest.digest});
    for (const auto& layer : record.layers) used.blobs.insert(layer.digest);
    used.layers.insert(record.chain_ids.begin(), record.chain_ids.end());
  }
  for (const auto& snapshot : impl_->snapshots.list())
    if (snapshot.top)
      for (const auto& layer : impl_->layers.chain(*snapshot.top)) used.layers.insert(layer.chain);
  for (const auto& blob : impl_->blobs.list())
    if (!used.blobs.contains(blob.digest)) impl_->blobs.remove(blob.digest);
  for (const auto& layer : impl_->layers.list())
    if (!used.layers.contains(layer.chain)) impl_->layers.remove(layer.chain);
}

std::int64_t ImageStore::layers_size() const {
  std::int64_t total = 0;
  for (const auto& layer : impl_->layers.list()) total += static_cast<std::int64_t>(layer.size);
  return total;
}

}  // namespace bryo::images

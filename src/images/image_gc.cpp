// What no image and no container refers to is collected: blobs and layers, never while a Lease lives.
#include <set>

#include "base/error.hpp"
#include "base/log.hpp"
#include "images/image_store_impl.hpp"

namespace bryo::images {
namespace {

struct InUse {
  std::set<Digest> blobs;
  std::set<Digest> layers;
};

// Throws when a record cannot be read: then nothing may be collected.
InUse find_used(const ImageStore::Impl& impl) {
  InUse used;
  // Images of every scope: blobs and layers are shared.
  for (const auto& document : impl.documents.list("image")) {
    const auto record = json::decode<ImageRecord>(json::parse(document.text));
    used.blobs.insert({record.id, record.manifest.digest});
    for (const auto& layer : record.layers) used.blobs.insert(layer.digest);
    used.layers.insert(record.chain_ids.begin(), record.chain_ids.end());
  }
  for (const auto& snapshot : impl.snapshots.list())
    for (std::optional<Digest> chain = snapshot.top; chain;) {
      used.layers.insert(*chain);
      // A layer that is missing (a damaged disk) ends its chain; what is there stays.
      const auto layer = impl.layers.find(*chain);
      chain = layer ? layer->parent : std::nullopt;
    }
  return used;
}

}  // namespace

void ImageStore::Impl::collect() {
  do {
    if (!begin_collection()) return;
    collect_once();
  } while (end_collection());
}

void ImageStore::Impl::collect_once() {
  try {
    const InUse used = find_used(*this);
    for (const auto& blob : blobs.list())
      if (!used.blobs.contains(blob.digest)) blobs.remove(blob.digest);
    for (const auto& layer : layers.list())
      if (!used.layers.contains(layer.chain)) layers.remove(layer.chain);
  } catch (const std::exception& error) {
    // What asked for it is done all the same; the next one tries again.
    log::warning("remove unused layers and blobs: {}", error.what());
  }
}

void ImageStore::collect_garbage() { impl_->collect(); }

std::int64_t ImageStore::layers_size() const {
  std::int64_t total = 0;
  for (const auto& layer : impl_->layers.list()) total += static_cast<std::int64_t>(layer.size);
  return total;
}

}  // namespace bryo::images

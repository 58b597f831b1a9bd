// New images from here: docker commit and docker import. One layer each, unpacked and kept compressed in the same pass.
#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/time.hpp"
#include "images/image_store_impl.hpp"
#include "storage/compression.hpp"

namespace bryo::images {
namespace {

struct NewLayer {
  storage::BlobInfo blob;
  storage::LayerInfo layer;
};

// `write` gives the layer's tar; it is compressed into a blob and unpacked at the same time, in two threads joined by a
// pipe.
NewLayer store_layer(ImageStore::Impl& impl, const std::optional<Digest>& parent,
                     const std::function<void(ByteSink&)>& write) {
  BytePipe pipe;
  auto blob = impl.blobs.writer();
  std::thread producer([&] {
    try {
      const auto encoder = storage::make_encoder(blob, storage::Compression::gzip);
      TeeSink both(*encoder, pipe);
      write(both);
      encoder->finish();
      pipe.close();
    } catch (...) {
      pipe.fail(std::current_exception());
    }
  });
  NewLayer out;
  std::exception_ptr failure;
  try {
    storage::UnpackRequest request;
    request.parent = parent;
    request.durability = storage::Durability::later;
    out.layer = impl.layers.unpack(request, pipe);
    std::byte rest[4096];
    while (pipe.read(rest) > 0) {
    }
  } catch (...) {
    failure = std::current_exception();
    pipe.abandon();
  }
  producer.join();
  if (failure) std::rethrow_exception(failure);
  out.blob = blob.finish({}, {}, storage::Durability::later);
  return out;
}

oci::Descriptor descriptor_of(const storage::BlobInfo& blob) {
  oci::Descriptor out;
  out.media_type = oci::media::kDockerLayerGzip;
  out.digest = blob.digest;
  out.size = static_cast<std::int64_t>(blob.size);
  return out;
}

// An image may come without history, but not with one that speaks of fewer layers than there are.
void complete_history(oci::ImageConfig& config) {
  const auto told = std::count_if(config.history.begin(), config.history.end(),
                                  [](const oci::HistoryEntry& entry) { return !entry.empty_layer; });
  if (std::cmp_greater_equal(told, config.rootfs.diff_ids.size())) return;
  config.history.insert(config.history.begin(), config.rootfs.diff_ids.size() - static_cast<std::size_t>(told),
                        oci::HistoryEntry{.created = config.created});
}

// Import takes compressed archives, too: the layer is what is inside.
void copy_decoded(ByteSource& tar, ByteSink& sink) {
  const auto decoder = storage::make_decoder(tar);
  copy_all(*decoder, sink);
}

}  // namespace

Image ImageStore::commit(const CommitInput& input) {
  const Lease held = lease();
  oci::ImageConfig config;
  std::optional<Image> parent;
  if (input.parent) {
    parent = impl_->index.find(*input.parent);
    if (!parent) fail(ErrorKind::not_found, "No such image: {}", input.parent->str());
    config = impl_->config_of(*input.parent);
  } else {
    config.architecture = oci::Platform::host().architecture;
    config.os = oci::Platform::host().os;
  }
  const auto made = store_layer(*impl_, parent ? parent->top : std::nullopt, input.diff);
  config.created = to_rfc3339_nano(wall_now());
  config.author = input.author.empty() ? config.author : input.author;
  config.comment = input.comment;
  config.container = input.container_id;
  config.container_config = input.container_config;
  config.config = input.config;
  complete_history(config);
  config.rootfs.diff_ids.push_back(made.layer.diff_id);
  config.history.push_back({.created = config.created,
                            .created_by = input.created_by,
                            .author = input.author,
                            .comment = input.comment,
                            .empty_layer = false});
  NewImage image;
  image.config = oci::to_json(config);
  if (parent) image.layers = parent->layers;
  image.layers.push_back(descriptor_of(made.blob));
  if (!input.reference.empty()) image.references = {Reference::parse(input.reference).with_default_tag().str()};
  image.parent = input.parent;
  image.blobs = {made.blob};
  image.unpacked = {made.layer};
  return add(std::move(image));
}

Image ImageStore::import(const ImportInput& input, ByteSource& tar) {
  const Lease held = lease();
  const auto made = store_layer(*impl_, std::nullopt, [&](ByteSink& sink) { copy_decoded(tar, sink); });
  oci::ImageConfig config;
  config.created = to_rfc3339_nano(wall_now());
  config.architecture = input.platform.architecture;
  config.os = input.platform.os;
  config.variant = input.platform.variant;
  config.comment = input.message;
  config.config = input.config;
  config.rootfs.diff_ids = {made.layer.diff_id};
  config.history.push_back({.created = config.created, .created_by = "", .author = "", .comment = input.message});
  NewImage image;
  image.config = oci::to_json(config);
  image.layers = {descriptor_of(made.blob)};
  if (!input.reference.empty()) image.references = {Reference::parse(input.reference).with_default_tag().str()};
  image.blobs = {made.blob};
  image.unpacked = {made.layer};
  return add(std::move(image));
}

}  // namespace bryo::images

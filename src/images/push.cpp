#include "images/push.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "images/push_layers.hpp"
#include "storage/compression.hpp"

namespace bryo::images {

namespace {

// Images were loaded from old archives with their layers as plain tar: those are compressed when they are pushed.
bool is_plain(const oci::Descriptor& layer) {
  return layer.media_type == oci::media::kDockerLayer || layer.media_type == oci::media::kOciLayer;
}

struct Manifest {
  std::string bytes;
  std::string media_type;
};

oci::Descriptor compress(storage::BlobStore& blobs, const oci::Descriptor& layer,
                         std::vector<storage::BlobInfo>& made) {
  const auto source = blobs.read(layer.digest);
  auto writer = blobs.writer();
  const auto encoder = storage::make_encoder(writer, storage::Compression::gzip);
  copy_all(*source, *encoder);
  encoder->finish();
  made.push_back(writer.finish({}, {}, storage::Durability::later));
  oci::Descriptor out;
  out.media_type = layer.media_type == oci::media::kOciLayer ? oci::media::kOciLayerGzip : oci::media::kDockerLayerGzip;
  out.digest = made.back().digest;
  out.size = static_cast<std::int64_t>(made.back().size);
  return out;
}

// Whether the manifest that came with the image speaks of exactly these blobs.
bool still_describes(const oci::Manifest& manifest, const Image& image) {
  return manifest.config.digest == image.id && manifest.layers.size() == image.layers.size() &&
         std::ranges::equal(manifest.layers, image.layers, {}, &oci::Descriptor::digest, &oci::Descriptor::digest);
}

}  // namespace

class Pusher::Impl {
 public:
  Impl(registry::Client& client, storage::BlobStore& blobs, int max_uploads)
      : client_(client), blobs_(blobs), parallel_(std::max(max_uploads, 1)), slots_(parallel_) {}

  std::vector<PushResult> push(ImageStore& store, const PushRequest& request, const ProgressEvents& events,
                               const registry::Cancelled& cancelled);

 private:
  struct Item {
    std::string tag;
    Image image;
    std::vector<PushLayer> layers;
  };
  std::vector<Item> items_of(ImageStore& store, const PushRequest& request) const;
  Image with_compressed_layers(ImageStore& store, const Image& image);
  void find_known_places(ImageStore& store, const Reference& reference, std::vector<Item>& items,
                         std::set<std::string>& places) const;
  static Manifest manifest_of(ImageStore& store, const Image& image);
  PushResult push_one(const PushContext& context, ImageStore& store, const Item& item);

  registry::Client& client_;
  storage::BlobStore& blobs_;
  const int parallel_;
  Slots slots_;
};

std::vector<Pusher::Impl::Item> Pusher::Impl::items_of(ImageStore& store, const PushRequest& request) const {
  const Reference name = request.reference.without_tag_and_digest();
  const std::string prefix = name.name() + ":";
  const auto wanted = request.all_tags ? std::nullopt : request.reference.with_default_tag().tag();
  std::vector<Item> items;
  bool any = false;
  for (const Image& image : store.list())
    for (const std::string& full : image.tags) {
      if (!full.starts_with(prefix)) continue;
      any = true;
      const std::string tag = full.substr(prefix.size());
      if (!wanted || *wanted == tag) items.push_back({tag, image, {}});
    }
  if (!any) fail(ErrorKind::not_found, "An image does not exist locally with the tag: {}", name.familiar_name());
  if (items.empty())
    fail(ErrorKind::not_found, "tag does not exist: {}", request.reference.with_default_tag().familiar());
  std::ranges::sort(items, {}, &Item::tag);
  return items;
}

// The compressed layers become the image's own, so that the next push and every other one send the same bytes.
Image Pusher::Impl::with_compressed_layers(ImageStore& store, const Image& image) {
  if (std::ranges::none_of(image.layers, is_plain)) return image;
  NewImage again;
  again.config = store.config_text(image.id);
  for (const oci::Descriptor& layer : image.layers)
    again.layers.push_back(is_plain(layer) ? compress(blobs_, layer, again.blobs) : layer);
  return store.add(std::move(again));
}

void Pusher::Impl::find_known_places(ImageStore& store, const Reference& reference, std::vector<Item>& items,
                                     std::set<std::string>& places) const {
  const auto images = store.list();
  for (Item& item : items)
    for (PushLayer& layer : item.layers)
      for (const Image& image : images) {
        if (std::ranges::find(image.layers, layer.blob.digest, &oci::Descriptor::digest) == image.layers.end())
          continue;
        // Names with a digest came from there or went there; a mere tag says nothing about a registry.
        for (const std::string& full : image.digests) {
          const auto other = Reference::try_parse(full);
          if (!other || other->domain() != reference.domain() || other->path() == reference.path()) continue;
          if (std::ranges::find(layer.known_in, other->path()) == layer.known_in.end())
            layer.known_in.push_back(other->path());
          if (places.size() < 5) places.insert(other->path());
        }
      }
}

Manifest Pusher::Impl::manifest_of(ImageStore& store, const Image& image) {
  std::string bytes = store.manifest_text(image);
  if (still_describes(oci::parse_manifest(bytes, image.manifest.media_type), image))
    return {std::move(bytes), image.manifest.media_type};
  oci::Manifest manifest;
  manifest.media_type = oci::media::kDockerManifest;
  manifest.config.media_type = oci::media::kDockerConfig;
  manifest.config.digest = image.id;
  manifest.config.size = static_cast<std::int64_t>(store.config_text(image.id).size());
  manifest.layers = image.layers;
  for (oci::Descriptor& layer : manifest.layers)
    if (layer.media_type == oci::media::kOciLayerGzip) layer.media_type = oci::media::kDockerLayerGzip;
  return {oci::to_json(manifest), manifest.media_type};
}

PushResult Pusher::Impl::push_one(const PushContext& context, ImageStore& store, const Item& item) {
  push_layers(context, item.layers);
  push_small(context, item.image.id, store.config_text(item.image.id));
  const Manifest manifest = manifest_of(store, item.image);
  PushResult result{item.tag, context.repository.put_manifest(item.tag, manifest.media_type, manifest.bytes),
                    manifest.bytes.size()};
  context.progress.line("", fmt::format("{}: digest: {} size: {}", result.tag, result.digest.str(), result.size));
  context.progress.aux(json::Object{{"Tag", result.tag}, {"Digest", result.digest.str()}, {"Size", result.size}});
  return result;
}

std::vector<PushResult> Pusher::Impl::push(ImageStore& store, const PushRequest& request, const ProgressEvents& events,
                                           const registry::Cancelled& cancelled) {
  ProgressLines progress(events);
  const Reference& reference = request.reference;
  if (reference.digest()) fail(ErrorKind::invalid_argument, "cannot push a digest reference");
  const auto lease = store.lease();
  auto items = items_of(store, request);
  progress.line("", "The push refers to repository [" + reference.name() + "]");
  for (Item& item : items) {
    item.image = with_compressed_layers(store, item.image);
    const auto config = store.config_of(item.image.id);
    for (std::size_t i = 0; i < item.image.layers.size(); ++i)
      item.layers.push_back({item.image.layers[i], config.rootfs.diff_ids.at(i), {}});
  }
  std::set<std::string> places;
  find_known_places(store, reference, items, places);
  registry::RepositoryRequest access;
  access.domain = reference.domain();
  access.path = reference.path();
  access.shown_name = reference.familiar_name();
  access.credentials = request.credentials;
  access.push = true;
  access.also_pull = {places.begin(), places.end()};
  access.cancelled = cancelled;
  registry::Repository repository = client_.repository(std::move(access));
  const PushContext context{blobs_, repository, slots_, progress, cancelled, parallel_};
  std::vector<PushResult> results;
  for (const Item& item : items) {
    results.push_back(push_one(context, store, item));
    // Remembered as Docker does: this image is known there by this digest.
    NewImage named;
    named.config = store.config_text(item.image.id);
    named.manifest = store.manifest_text(item.image);
    named.manifest_type = item.image.manifest.media_type;
    named.layers = item.image.layers;
    named.references = {reference.without_tag_and_digest().with_digest(results.back().digest).str()};
    store.add(std::move(named));
  }
  return results;
}

Pusher::Pusher(registry::Client& client, storage::BlobStore& blobs, storage::LayerStore&, int max_uploads)
    : impl_(std::make_unique<Impl>(client, blobs, max_uploads)) {}
Pusher::~Pusher() = default;

std::vector<PushResult> Pusher::push(ImageStore& store, const PushRequest& request, const ProgressEvents& progress,
                                     const registry::Cancelled& cancelled) {
  return impl_->push(store, request, progress, cancelled);
}

}  // namespace bryo::images

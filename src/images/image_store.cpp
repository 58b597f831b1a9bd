#include "images/image_store.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "images/image_store_impl.hpp"

namespace bryo::images {
namespace {

bool is_hex(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Records, blobs and layers that an image brings along, as changes of one transaction.
std::vector<storage::Change> changes_of(const NewImage& image, storage::BlobStore& blobs, storage::LayerStore& layers) {
  std::vector<storage::Change> out;
  for (const auto& blob : image.blobs) out.push_back(blobs.record_of(blob));
  for (const auto& layer : image.unpacked) out.push_back(layers.record_of(layer));
  return out;
}

// A manifest for an image that came without one: from `docker load` of an old archive, commit, import.
std::string make_manifest(const NewImage& image, const storage::BlobInfo& config) {
  oci::Manifest manifest;
  manifest.schema_version = 2;
  manifest.media_type = oci::media::kDockerManifest;
  manifest.config.media_type = oci::media::kDockerConfig;
  manifest.config.digest = config.digest;
  manifest.config.size = static_cast<std::int64_t>(config.size);
  manifest.layers = image.layers;
  return oci::to_json(manifest);
}

}  // namespace

std::string shown_name(std::string_view full_name) {
  const auto reference = Reference::try_parse(full_name);
  return reference ? reference->familiar() : std::string(full_name);
}

std::int64_t unix_seconds(std::string_view rfc3339) {
  const auto time = parse_rfc3339(rfc3339);
  return time ? std::chrono::floor<std::chrono::seconds>(*time).time_since_epoch().count() : 0;
}

ImageStore::ImageStore(storage::DataRoot& root, storage::DocumentStore& documents, storage::BlobStore& blobs,
                       storage::LayerStore& layers, const storage::SnapshotDriver& snapshots, std::string scope)
    : impl_(std::make_unique<Impl>(root, documents, blobs, layers, snapshots, std::move(scope))) {}

ImageStore::~ImageStore() = default;

// --- look-up --------------------------------------------------------------------------------------------------------

std::optional<Digest> ImageStore::Impl::look_up(std::string_view ref) const {
  if (const auto digest = Digest::try_parse(ref); digest && index.find(*digest)) return digest;
  if (ref.size() == 64 && is_hex(ref))
    if (const auto digest = Digest::try_parse("sha256:" + std::string(ref)); index.find(*digest)) return digest;
  if (const auto reference = Reference::try_parse(ref)) {
    const auto wanted =
        reference->digest() ? reference->with_digest(*reference->digest()) : reference->with_default_tag();
    if (const auto id = index.named(wanted.str())) return id;
  }
  std::string_view hex = ref;
  if (hex.starts_with("sha256:")) hex.remove_prefix(7);
  if (!is_hex(hex)) return std::nullopt;
  const auto found = index.with_prefix(hex);
  if (found.size() > 1) fail(ErrorKind::invalid_argument, "ambiguous image id prefix: {}", printable(ref));
  if (found.empty()) return std::nullopt;
  return found.front();
}

Image ImageStore::Impl::resolve(std::string_view ref) const {
  if (const auto id = look_up(ref))
    if (auto image = index.find(*id)) return *std::move(image);
  const bool is_id = Digest::try_parse(ref) || (ref.size() == 64 && is_hex(ref));
  if (!is_id) {
    const auto reference = Reference::parse(ref);  // malformed names say so
    fail(ErrorKind::not_found, "No such image: {}", reference.with_default_tag().familiar());
  }
  fail(ErrorKind::not_found, "No such image: {}", printable(ref));
}

oci::ImageConfig ImageStore::Impl::config_of(const Digest& id) const {
  return oci::parse_image_config(blobs.read_text(id, oci::kMaxDocumentSize));
}

std::vector<Digest> ImageStore::Impl::children_of(const Digest& id) const {
  std::vector<Digest> out;
  for (const Image& image : index.all())
    if (image.parent == id) out.push_back(image.id);
  return out;
}

Image ImageStore::resolve(std::string_view ref) const { return impl_->resolve(ref); }

std::optional<Image> ImageStore::find(std::string_view ref) const {
  const auto id = impl_->look_up(ref);
  return id ? impl_->index.find(*id) : std::nullopt;
}

std::optional<Image> ImageStore::find_id(const Digest& id) const { return impl_->index.find(id); }
std::vector<Image> ImageStore::list() const { return impl_->index.all(); }
std::string ImageStore::config_text(const Digest& id) const {
  return impl_->blobs.read_text(id, oci::kMaxDocumentSize);
}
oci::ImageConfig ImageStore::config_of(const Digest& id) const { return impl_->config_of(id); }
std::string ImageStore::manifest_text(const Image& image) const {
  return impl_->blobs.read_text(image.manifest.digest, oci::kMaxDocumentSize);
}

// --- leases ---------------------------------------------------------------------------------------------------------

struct ImageStore::Lease::State {
  explicit State(Impl& store) : impl(store) { impl.begin_lease(); }
  ~State() { impl.end_lease(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  Impl& impl;
};

ImageStore::Lease::Lease(std::unique_ptr<State> state) : state_(std::move(state)) {}
ImageStore::Lease::Lease(Lease&&) noexcept = default;
ImageStore::Lease& ImageStore::Lease::operator=(Lease&&) noexcept = default;
ImageStore::Lease::~Lease() = default;

ImageStore::Lease ImageStore::lease() { return Lease(std::make_unique<Lease::State>(*impl_)); }

void ImageStore::Impl::begin_lease() {
  std::unique_lock lock(lease_mutex_);
  lease_changed_.wait(lock, [&] { return !collecting_; });
  ++leases_;
}

void ImageStore::Impl::end_lease() {
  {
    std::lock_guard lock(lease_mutex_);
    --leases_;
    if (leases_ > 0 || !wanted_) return;
  }
  collect();
}

bool ImageStore::Impl::begin_collection() {
  std::lock_guard lock(lease_mutex_);
  wanted_ = leases_ > 0 || collecting_;
  if (wanted_) return false;
  collecting_ = true;
  return true;
}

bool ImageStore::Impl::end_collection() {
  std::lock_guard lock(lease_mutex_);
  collecting_ = false;
  lease_changed_.notify_all();
  return wanted_ && leases_ == 0;
}

// --- changes --------------------------------------------------------------------------------------------------------

Image ImageStore::add(NewImage image) {
  const auto config = oci::parse_image_config(image.config);
  if (config.rootfs.diff_ids.size() != image.layers.size())
    fail(ErrorKind::invalid_argument, "image config lists {} layers, its manifest {}", config.rootfs.diff_ids.size(),
         image.layers.size());
  const auto stored_config = impl_->blobs.put(image.config, storage::Durability::later);
  image.blobs.push_back(stored_config);
  if (image.manifest.empty()) {
    image.manifest = make_manifest(image, stored_config);
    image.manifest_type = oci::media::kDockerManifest;
  }
  const auto manifest = impl_->blobs.put(image.manifest, storage::Durability::later);
  image.blobs.push_back(manifest);

  ImageRecord record;
  record.id = stored_config.digest;
  record.manifest.media_type = image.manifest_type;
  record.manifest.digest = manifest.digest;
  record.manifest.size = static_cast<std::int64_t>(manifest.size);
  record.layers = image.layers;
  record.created = config.created;
  if (image.parent) record.parent = *image.parent;
  std::optional<Digest> chain;
  for (const Digest& diff_id : config.rootfs.diff_ids) {
    chain = storage::chain_id(chain, diff_id);
    const auto layer = impl_->layers.find(*chain);
    if (!layer) fail(ErrorKind::internal, "layer {} of image {} is not in the store", chain->str(), record.id.str());
    record.chain_ids.push_back(*chain);
    record.size += static_cast<std::int64_t>(layer->size);
  }
  if (const auto known = impl_->index.find(record.id)) {
    record.last_tagged = known->last_tagged;
    if (!image.parent && known->parent) record.parent = *known->parent;
  }
  // Data first, records after it: what is recorded is on disk (D16).
  impl_->root.sync();
  return impl_->index.put(std::move(record), image.references, changes_of(image, impl_->blobs, impl_->layers));
}

std::string ImageStore::tag(std::string_view ref, std::string_view repository, std::string_view tag) {
  std::lock_guard lock(impl_->change);
  const Image image = impl_->resolve(ref);
  const auto reference = Reference::parse(repository, tag);
  if (reference.digest()) fail(ErrorKind::invalid_argument, "refusing to create a tag with a digest reference");
  const auto full = reference.with_default_tag();
  if (full.familiar_name() == "sha256" || Digest::try_parse(full.path()))
    fail(ErrorKind::invalid_argument, "refusing to create an ambiguous tag using digest algorithm as name");
  impl_->index.name(image.id, full.str());
  return full.familiar();
}

}  // namespace bryo::images

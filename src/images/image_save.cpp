// docker save: one archive that is both an OCI layout (index.json, blobs/) and an old docker-archive (manifest.json).
#include <algorithm>
#include <map>
#include <set>

#include "base/error.hpp"
#include "images/image_store_impl.hpp"
#include "storage/tar_writer.hpp"

namespace bryo::images {
namespace {

// An image of the archive, with the names that it is saved under.
struct Saved {
  Image image;
  std::vector<std::string> tags;  // full
};

storage::TarEntry entry_of(std::string name, std::uint64_t size) {
  storage::TarEntry entry;
  entry.name = std::move(name);
  entry.mode = 0644;
  entry.size = size;
  return entry;
}

storage::TarEntry directory_of(std::string name) {
  storage::TarEntry entry;
  entry.type = storage::TarType::directory;
  entry.name = std::move(name);
  entry.mode = 0755;
  return entry;
}

std::string blob_path(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

class Saver {
 public:
  Saver(const ImageStore::Impl& impl, ByteSink& sink) : impl_(impl), tar_(sink) {}

  void save(const std::vector<Saved>& images) {
    tar_.add(directory_of("blobs/"));
    tar_.add(directory_of("blobs/sha256/"));
    for (const Saved& saved : images) {
      for (const auto& layer : saved.image.layers) blob(layer.digest);
      blob(saved.image.id);
      blob(saved.image.manifest.digest);
    }
    const std::string index = oci::to_json(index_of(images));
    tar_.add(entry_of("index.json", index.size()), index);
    const std::string manifest = json::serialize(docker_manifest(images));
    tar_.add(entry_of("manifest.json", manifest.size()), manifest);
    const std::string repositories = json::serialize(repositories_of(images));
    tar_.add(entry_of("repositories", repositories.size()), repositories);
    constexpr std::string_view layout = R"({"imageLayoutVersion":"1.0.0"})";
    tar_.add(entry_of("oci-layout", layout.size()), layout);
    tar_.finish();
  }

 private:
  void blob(const Digest& digest) {
    if (!written_.insert(digest).second) return;
    const auto info = impl_.blobs.find(digest);
    if (!info) fail(ErrorKind::internal, "blob {} is not in the store", digest.str());
    tar_.begin(entry_of(blob_path(digest), info->size));
    const auto source = impl_.blobs.read(digest);
    std::vector<std::byte> buffer(256U << 10);
    while (const std::size_t got = source->read(buffer)) tar_.content(std::span(buffer).first(got));
  }

  static oci::Index index_of(const std::vector<Saved>& images) {
    oci::Index index;
    index.schema_version = 2;
    index.media_type = oci::media::kOciIndex;
    for (const Saved& saved : images) {
      if (saved.tags.empty()) index.manifests.push_back(saved.image.manifest);
      for (const std::string& tag : saved.tags) {
        oci::Descriptor descriptor = saved.image.manifest;
        descriptor.annotations["io.containerd.image.name"] = tag;
        descriptor.annotations["org.opencontainers.image.ref.name"] = tag.substr(tag.rfind(':') + 1);
        index.manifests.push_back(std::move(descriptor));
      }
    }
    return index;
  }

  static json::Value docker_manifest(const std::vector<Saved>& images) {
    json::Array out;
    for (const Saved& saved : images) {
      json::Array layers, tags;
      for (const auto& layer : saved.image.layers) layers.push_back(boost::json::string(blob_path(layer.digest)));
      for (const std::string& tag : saved.tags) tags.push_back(boost::json::string(shown_name(tag)));
      json::Object one{{"Config", blob_path(saved.image.id)}};
      one["RepoTags"] = tags.empty() ? json::Value(nullptr) : json::Value(std::move(tags));
      one["Layers"] = std::move(layers);
      out.push_back(std::move(one));
    }
    return out;
  }

  // What Docker before 1.10 read: repository → tag → top layer.
  static json::Value repositories_of(const std::vector<Saved>& images) {
    std::map<std::string, std::map<std::string, std::string>> out;
    for (const Saved& saved : images)
      for (const std::string& tag : saved.tags) {
        const auto reference = Reference::parse(tag);
        if (!saved.image.layers.empty())
          out[reference.familiar_name()][reference.tag().value_or("")] = saved.image.layers.back().digest.hex();
      }
    return json::encode(out);
  }

  const ImageStore::Impl& impl_;
  storage::TarWriter tar_;
  std::set<Digest> written_;
};

}  // namespace

void ImageStore::save(const std::vector<std::string>& refs, ByteSink& sink) const {
  impl_->begin_lease();  // nothing of it may be collected while it is read
  struct End {
    Impl& impl;
    ~End() { impl.end_lease(); }
  } end{*impl_};
  std::vector<Saved> images;
  const auto place_of = [&](Image image) -> Saved& {
    for (Saved& saved : images)
      if (saved.image.id == image.id) return saved;
    return images.emplace_back(Saved{std::move(image), {}});
  };
  for (const std::string& ref : refs) {
    const auto reference = Reference::try_parse(ref);
    // A repository without a tag means all its tags, when it has any.
    bool whole = false;
    if (reference && !reference->tag() && !reference->digest()) {
      for (const Image& image : impl_->index.all())
        for (const std::string& tag : image.tags)
          if (Reference::parse(tag).name() == reference->name()) {
            place_of(image).tags.push_back(tag);
            whole = true;
          }
    }
    if (whole) continue;
    const Image image = impl_->resolve(ref);
    Saved& saved = place_of(image);
    if (reference && reference->tag() && impl_->index.named(reference->str()) == image.id)
      saved.tags.push_back(reference->str());
  }
  for (Saved& saved : images) {
    std::sort(saved.tags.begin(), saved.tags.end());
    saved.tags.erase(std::unique(saved.tags.begin(), saved.tags.end()), saved.tags.end());
  }
  Saver(*impl_, sink).save(images);
}

}  // namespace bryo::images

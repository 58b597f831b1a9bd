// docker load: docker-archive (old and new) and OCI layout, compressed or not.
//
// An archive may name its files in any order, so it is first spread out below the data root's tmp/: plain files only,
// by checked names, read back through a RootDirectory that follows no link. Then images are put together from its
// manifest.json or index.json.
#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "images/image_store_impl.hpp"
#include "kernel/files.hpp"
#include "storage/compression.hpp"
#include "storage/tar_reader.hpp"

namespace bryo::images {
namespace {

constexpr std::size_t kMaxJson = 4U << 20;
constexpr std::size_t kMaxFiles = 100'000;

struct DockerEntry {
  std::string config;
  std::vector<std::string> repo_tags;
  std::vector<std::string> layers;
};

}  // namespace
}  // namespace bryo::images

template <>
struct bryo::json::Fields<bryo::images::DockerEntry> {
  using T = bryo::images::DockerEntry;
  static constexpr auto list =
      std::tuple{field("Config", &T::config), field("RepoTags", &T::repo_tags), field("Layers", &T::layers)};
};

namespace bryo::images {
namespace {

// A directory below tmp/, gone with this object.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(storage::DataRoot& root) : root_(root), relative_(root.make_temporary("load")) {}
  ~TemporaryDirectory() { root_.discard(relative_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  kernel::RootDirectory open() const { return root_.directory().descend(relative_); }

 private:
  storage::DataRoot& root_;
  const std::string relative_;
};

// The files of the archive, gone with this object.
class Spread {
 public:
  Spread(storage::DataRoot& root, ByteSource& archive) : directory_(root), tree_(directory_.open()) {
    const auto decoder = storage::make_decoder(archive);
    storage::DirectChunks chunks(*decoder);
    storage::TarReader reader(chunks);
    storage::TarEntry entry;
    std::size_t files = 0;
    while (reader.next(entry)) {
      if (++files > kMaxFiles) fail(ErrorKind::invalid_argument, "the archive has more than {} files", kMaxFiles);
      take(reader, entry);
    }
  }

  // Follows the links of old archives (layer.tar → ../<id>/layer.tar), which were noted by name.
  std::optional<UniqueFd> open(std::string_view name) const {
    std::string path(name);
    for (int hops = 0; hops < 8; ++hops) {
      const auto link = std::find_if(links_.begin(), links_.end(), [&](const auto& one) { return one.first == path; });
      if (link == links_.end()) return tree_.try_resolve(path, O_RDONLY);
      path = link->second;
    }
    return std::nullopt;
  }
  std::optional<std::string> text(std::string_view name) const {
    const auto fd = open(name);
    if (!fd) return std::nullopt;
    return kernel::read_file(fd->get(), kMaxJson);
  }

 private:
  // "./a//b" → "a/b"; nullopt for what leaves the archive (CVE-2014-9356).
  static std::optional<std::string> clean(std::string_view name, std::string_view base = "") {
    std::vector<std::string> kept;
    for (const std::string_view part : {base, name})
      for (const std::string_view piece : split(part, '/')) {
        if (piece.empty() || piece == ".") continue;
        if (piece == "..") {
          if (kept.empty()) return std::nullopt;
          kept.pop_back();
        } else {
          kept.emplace_back(piece);
        }
      }
    if (kept.empty()) return std::nullopt;
    return join(kept, "/");
  }

  void take(storage::TarReader& reader, const storage::TarEntry& entry) {
    const auto name = clean(entry.name);
    if (!name && entry.type == storage::TarType::directory && entry.name.find("..") == std::string::npos)
      return;  // "./"
    if (!name || entry.name.starts_with('/'))
      fail(ErrorKind::invalid_argument, "invalid name in the archive: \"{}\"", printable(entry.name));
    const auto slash = name->rfind('/');
    const std::string parent = slash == std::string::npos ? "" : name->substr(0, slash);
    if (entry.type == storage::TarType::symlink || entry.type == storage::TarType::hard_link) {
      const auto target = entry.type == storage::TarType::symlink ? clean(entry.link, parent) : clean(entry.link);
      if (!target || entry.link.starts_with('/'))
        fail(ErrorKind::invalid_argument, "a link leaves the archive: \"{}\"", printable(entry.name));
      links_.emplace_back(*name, *target);
      return;
    }
    if (entry.type != storage::TarType::file) return;
    if (entry.sparse) fail(ErrorKind::invalid_argument, "sparse file in the archive: \"{}\"", printable(entry.name));
    if (!parent.empty()) tree_.make_directories(parent, 0700);
    const UniqueFd out = tree_.resolve(*name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    while (true) {
      const auto bytes = reader.content();
      if (bytes.empty()) break;
      kernel::write_all(out.get(), bytes);
    }
  }

  const TemporaryDirectory directory_;
  const kernel::RootDirectory tree_;
  std::vector<std::pair<std::string, std::string>> links_;
};

}  // namespace

class Loader {
 public:
  Loader(ImageStore& store, ImageStore::Impl& impl, const Spread& files, bool quiet, const Progress& progress)
      : store_(store), impl_(impl), files_(files), quiet_(quiet), progress_(progress) {}

  std::vector<Image> run() {
    if (const auto text = files_.text("manifest.json")) {
      for (const auto& entry : json::decode<std::vector<DockerEntry>>(json::parse(*text), "manifest.json"))
        load_docker(entry);
    } else if (const auto index = files_.text("index.json")) {
      load_index(oci::parse_index(*index), 0);
    } else {
      fail(ErrorKind::invalid_argument,
           "the archive is neither a docker-archive (manifest.json) nor an OCI layout (index.json)");
    }
    if (images_.empty()) fail(ErrorKind::invalid_argument, "the archive holds no image");
    return std::move(images_);
  }

 private:
  void say(const std::string& line) {
    if (progress_) progress_(json::Object{{"stream", line + "\n"}});
  }

  std::string need(std::string_view name) {
    if (auto text = files_.text(name)) return *std::move(text);
    fail(ErrorKind::invalid_argument, "invalid archive: {} is missing", printable(name));
  }

  void load_docker(const DockerEntry& entry) {
    NewImage image;
    image.config = need(entry.config);
    const auto config = oci::parse_image_config(image.config);
    if (config.rootfs.diff_ids.size() != entry.layers.size())
      fail(ErrorKind::invalid_argument, "invalid manifest, layers length mismatch: expected {}, got {}",
           config.rootfs.diff_ids.size(), entry.layers.size());
    std::optional<Digest> parent;
    for (std::size_t i = 0; i < entry.layers.size(); ++i)
      parent = layer(image, entry.layers[i], parent, config.rootfs.diff_ids[i], std::nullopt);
    for (const std::string& tag : entry.repo_tags)
      image.references.push_back(Reference::parse(tag).with_default_tag().str());
    // The archive may hold the manifest, too: then the image keeps its digest.
    keep_manifest(image);
    finish(std::move(image), entry.repo_tags);
  }

  void keep_manifest(NewImage& image) {
    const auto index_text = files_.text("index.json");
    if (!index_text) return;
    const Digest id = Digest::of(image.config);
    for (const auto& descriptor : oci::parse_index(*index_text).manifests) {
      if (!oci::media::is_manifest(descriptor.media_type)) continue;
      const auto text = files_.text("blobs/sha256/" + descriptor.digest.hex());
      if (!text || Digest::of(*text) != descriptor.digest) continue;
      const auto manifest = oci::parse_manifest(*text, descriptor.media_type);
      if (manifest.config.digest != id || manifest.layers.size() != image.layers.size()) continue;
      const bool same = std::equal(manifest.layers.begin(), manifest.layers.end(), image.layers.begin(),
                                   [](const auto& a, const auto& b) { return a.digest == b.digest; });
      if (!same) continue;
      image.manifest = *text;
      image.manifest_type = descriptor.media_type;
      image.layers = manifest.layers;
      return;
    }
  }

  void load_index(const oci::Index& index, int depth) {
    if (depth > 4) fail(ErrorKind::invalid_argument, "invalid archive: indexes are nested too deep");
    for (const auto& descriptor : index.manifests) {
      const std::string text = need("blobs/sha256/" + descriptor.digest.hex());
      if (Digest::of(text) != descriptor.digest)
        fail(ErrorKind::invalid_argument, "invalid archive: blob {} has other content", descriptor.digest.str());
      if (oci::media::is_index(descriptor.media_type)) {
        const auto inner = oci::parse_index(text, descriptor.media_type);
        const auto* chosen = oci::select_platform(inner, oci::Platform::host());
        if (chosen == nullptr) continue;
        oci::Index one = inner;
        one.manifests = {*chosen};
        for (const auto& [key, value] : descriptor.annotations) one.manifests.front().annotations.emplace(key, value);
        load_index(one, depth + 1);
      } else {
        load_oci(descriptor, text);
      }
    }
  }

  void load_oci(const oci::Descriptor& descriptor, const std::string& text) {
    const auto manifest = oci::parse_manifest(text, descriptor.media_type);
    NewImage image;
    image.manifest = text;
    image.manifest_type = descriptor.media_type;
    image.config = need("blobs/sha256/" + manifest.config.digest.hex());
    if (Digest::of(image.config) != manifest.config.digest)
      fail(ErrorKind::invalid_argument, "invalid archive: blob {} has other content", manifest.config.digest.str());
    const auto config = oci::parse_image_config(image.config);
    if (config.rootfs.diff_ids.size() != manifest.layers.size())
      fail(ErrorKind::invalid_argument, "invalid manifest, layers length mismatch");
    std::optional<Digest> parent;
    for (std::size_t i = 0; i < manifest.layers.size(); ++i)
      parent = layer(image, "blobs/sha256/" + manifest.layers[i].digest.hex(), parent, config.rootfs.diff_ids[i],
                     manifest.layers[i].digest);
    image.layers = manifest.layers;
    std::vector<std::string> names;
    const auto full = descriptor.annotations.find("io.containerd.image.name");
    const auto short_name = descriptor.annotations.find("org.opencontainers.image.ref.name");
    if (full != descriptor.annotations.end())
      names.push_back(full->second);
    else if (short_name != descriptor.annotations.end() && Reference::try_parse(short_name->second))
      names.push_back(short_name->second);
    for (const std::string& name : names) image.references.push_back(Reference::parse(name).with_default_tag().str());
    finish(std::move(image), names);
  }

  // Keeps the file as a blob (as it is, compressed or not) and unpacks it. Returns the chain id.
  Digest layer(NewImage& image, const std::string& path, const std::optional<Digest>& parent, const Digest& diff_id,
               const std::optional<Digest>& expected) {
    auto fd = files_.open(path);
    if (!fd) fail(ErrorKind::invalid_argument, "invalid archive: layer {} is missing", printable(path));
    FdSource file(std::move(*fd));
    auto blob = impl_.blobs.writer();
    TeeSource kept(file, blob);
    storage::UnpackRequest request;
    request.parent = parent;
    request.diff_id = diff_id;
    request.durability = storage::Durability::later;
    storage::LayerInfo info = impl_.layers.unpack(request, kept);
    std::vector<std::byte> rest(256U << 10);
    while (kept.read(rest) > 0) {
    }
    const auto stored = blob.finish(expected, {}, storage::Durability::later);
    oci::Descriptor descriptor;
    descriptor.media_type = media_type_of(stored.digest);
    descriptor.digest = stored.digest;
    descriptor.size = static_cast<std::int64_t>(stored.size);
    image.layers.push_back(std::move(descriptor));
    image.blobs.push_back(stored);
    if (!quiet_ && progress_)
      progress_(json::Object{{"status", "Loading layer"},
                             {"progressDetail", {{"current", stored.size}, {"total", stored.size}}},
                             {"id", diff_id.short_id()}});
    const Digest chain = info.chain;
    image.unpacked.push_back(std::move(info));
    return chain;
  }

  std::string media_type_of(const Digest& digest) {
    const auto source = impl_.blobs.read(digest);
    std::byte head[8] = {};
    const std::size_t got = read_full(*source, head);
    switch (storage::detect_compression(std::span(head).first(got))) {
      case storage::Compression::gzip:
        return std::string(oci::media::kDockerLayerGzip);
      case storage::Compression::zstd:
        return std::string(oci::media::kOciLayerZstd);
      default:
        return std::string(oci::media::kDockerLayer);
    }
  }

  void finish(NewImage image, const std::vector<std::string>& names) {
    for (const std::string& name : image.references) {
      const auto old = impl_.index.named(name);
      if (old && *old != Digest::of(image.config))
        say(fmt::format("The image {} already exists, renaming the old one with ID {} to empty string",
                        shown_name(name), old->str()));
    }
    Image added = store_.add(std::move(image));
    if (names.empty()) say("Loaded image ID: " + added.id.str());
    for (const std::string& name : names) say("Loaded image: " + Reference::parse(name).with_default_tag().familiar());
    images_.push_back(std::move(added));
  }

  ImageStore& store_;
  ImageStore::Impl& impl_;
  const Spread& files_;
  const bool quiet_;
  const Progress& progress_;
  std::vector<Image> images_;
};

std::vector<Image> ImageStore::load(ByteSource& archive, bool quiet, const Progress& progress) {
  const Lease held = lease();
  const Spread files(impl_->root, archive);
  return Loader(*this, *impl_, files, quiet, progress).run();
}

}  // namespace bryo::images

#include "storage/layer_store.hpp"

#include <fcntl.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/files.hpp"
#include "storage/init_layer.hpp"
#include "storage/layer_unpack.hpp"
#include "storage/merged_directory.hpp"

namespace bryo::storage {
namespace {

constexpr const char* kKind = "layer";
constexpr std::string_view kInitSuffix = "-init";
constexpr const char* kEmptyImage = "empty";

}  // namespace

Digest chain_id(const std::optional<Digest>& parent, const Digest& diff_id) {
  return parent ? Digest::of(parent->str() + " " + diff_id.str()) : diff_id;
}

std::optional<Digest> chain_id(const std::vector<Digest>& diff_ids) {
  std::optional<Digest> chain;
  for (const Digest& diff_id : diff_ids) chain = chain_id(chain, diff_id);
  return chain;
}

class LayerStore::Impl {
 public:
  Impl(DataRoot& data_root, DocumentStore& document_store)
      : root(data_root), documents(document_store), directory_path(root.path() + "/layers") {
    for (const auto& document : documents.list(kKind, "")) {
      auto layer = json::decode<LayerInfo>(json::parse(document.text));
      layers_.emplace(layer.chain, std::move(layer));
    }
    drop_unrecorded();
  }

  std::optional<LayerInfo> find(const Digest& chain) const {
    const std::lock_guard lock(mutex_);
    const auto found = layers_.find(chain);
    return found == layers_.end() ? std::nullopt : std::optional(found->second);
  }

  std::vector<LayerInfo> list() const {
    const std::lock_guard lock(mutex_);
    std::vector<LayerInfo> all;
    for (const auto& [chain, layer] : layers_) all.push_back(layer);
    return all;
  }

  // The layer, or nullopt: then the caller unpacks it, and release()s.
  std::optional<LayerInfo> claim(const Digest& chain) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !busy_.contains(chain); });
    const auto found = layers_.find(chain);
    if (found != layers_.end()) return found->second;
    busy_.insert(chain);
    return std::nullopt;
  }

  void release(const Digest& chain) {
    const std::lock_guard lock(mutex_);
    busy_.erase(chain);
    changed_.notify_all();
  }

  void add(const LayerInfo& layer) {
    const std::lock_guard lock(mutex_);
    layers_.insert_or_assign(layer.chain, layer);
  }

  void forget(const Digest& chain) {
    const std::lock_guard lock(mutex_);
    layers_.erase(chain);
  }

  void install(const std::string& temporary, const LayerInfo& layer, Durability durability) {
    if (durability == Durability::now) root.sync();
    root.step("layer: synced");
    // What an install that failed half-way has left.
    root.discard("layers/" + layer.chain.hex());
    kernel::rename_at(root.fd(), temporary, root.fd(), "layers/" + layer.chain.hex());
    root.step("layer: renamed");
    if (durability == Durability::now) {
      kernel::sync_file(kernel::open_trusted(directory_path, O_RDONLY | O_DIRECTORY).get());
      documents.put_as({kKind, "", layer.chain.hex()}, layer);
      root.step("layer: recorded");
    }
    add(layer);
  }

  std::string init_layer(const std::optional<Digest>& chain, const std::vector<std::string>& lower) {
    const std::string name = (chain ? chain->hex() : kEmptyImage) + std::string(kInitSuffix);
    const std::lock_guard lock(init_mutex_);
    if (kernel::try_stat_at(root.fd(), "layers/" + name)) return name;
    const std::string temporary = root.make_temporary("init");
    const UniqueFd into = kernel::open_at(root.fd(), temporary, O_RDONLY | O_DIRECTORY);
    kernel::change_mode(into.get(), 0755);
    fill_init_layer(MergedDirectory::open(lower), into.get());
    // Nothing but names and modes: the file system's journal keeps them in order with the rename.
    kernel::rename_at(root.fd(), temporary, root.fd(), "layers/" + name);
    return name;
  }

  DataRoot& root;
  DocumentStore& documents;
  const std::string directory_path;

 private:
  // Directories without a record are what a crash left; records without a directory, what damage left.
  void drop_unrecorded() {
    std::set<std::string> there;
    const UniqueFd directory = kernel::open_trusted(directory_path, O_RDONLY | O_DIRECTORY);
    for (auto& entry : kernel::read_directory(directory.get())) {
      std::string hex = entry.name;
      if (hex.ends_with(kInitSuffix)) hex.resize(hex.size() - kInitSuffix.size());
      const auto chain = Digest::try_parse("sha256:" + hex);
      const bool keep = hex == kEmptyImage || (chain && layers_.contains(*chain));
      if (!keep) root.discard("layers/" + entry.name);
      if (keep) there.insert(std::move(entry.name));
    }
    std::erase_if(layers_, [&](const auto& layer) {
      if (there.contains(layer.first.hex())) return false;
      log::warning("layer {} is missing on disk: its images must be pulled again", layer.first.str());
      return true;
    });
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Digest, LayerInfo> layers_;  // guarded by mutex_
  std::set<Digest> busy_;               // being unpacked; guarded by mutex_
  std::mutex init_mutex_;
};

LayerStore::LayerStore(DataRoot& root, DocumentStore& documents) : impl_(std::make_unique<Impl>(root, documents)) {}
LayerStore::~LayerStore() = default;

LayerInfo LayerStore::unpack(const UnpackRequest& request, ByteSource& source) {
  std::optional<Digest> claimed;
  if (request.diff_id) {
    claimed = chain_id(request.parent, *request.diff_id);
    if (auto there = impl_->claim(*claimed)) return *there;
  }
  const std::string temporary = impl_->root.make_temporary("layer");
  try {
    LayerInfo layer = unpack_layer(impl_->root, temporary, request, source);
    if (!claimed) {
      // Only now it is known which layer this is.
      claimed = layer.chain;
      if (auto there = impl_->claim(*claimed)) {
        impl_->root.discard(temporary);
        return *there;
      }
    }
    impl_->install(temporary, layer, request.durability);
    impl_->release(*claimed);
    return layer;
  } catch (...) {
    impl_->root.discard(temporary);
    if (claimed) impl_->release(*claimed);
    throw;
  }
}

std::optional<LayerInfo> LayerStore::find(const Digest& chain) const { return impl_->find(chain); }

std::vector<LayerInfo> LayerStore::chain(const Digest& top) const {
  std::vector<LayerInfo> layers;
  for (std::optional<Digest> next = top; next; next = layers.back().parent) {
    auto layer = find(*next);
    if (!layer) fail(ErrorKind::not_found, "layer {} is not here: pull its image again", next->str());
    layers.push_back(std::move(*layer));
  }
  return layers;
}

std::vector<LayerInfo> LayerStore::list() const { return impl_->list(); }

const std::string& LayerStore::directory() const { return impl_->directory_path; }

std::string LayerStore::path_of(const Digest& chain) const { return impl_->directory_path + "/" + chain.hex(); }

std::string LayerStore::init_layer(const std::optional<Digest>& top) {
  std::vector<std::string> lower;
  if (top)
    for (const auto& layer : chain(*top)) lower.push_back(path_of(layer.chain));
  return impl_->init_layer(top, lower);
}

Change LayerStore::record_of(const LayerInfo& layer) const {
  return DocumentStore::change({kKind, "", layer.chain.hex()}, layer);
}

void LayerStore::remove(const Digest& chain) {
  if (!find(chain)) return;
  impl_->documents.erase({kKind, "", chain.hex()});
  impl_->root.step("layer: record erased");
  impl_->forget(chain);
  impl_->root.discard("layers/" + chain.hex());
  impl_->root.discard("layers/" + chain.hex() + std::string(kInitSuffix));
}

}  // namespace bryo::storage

#include "storage/blob_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/files.hpp"

namespace bryo::storage {
namespace {

constexpr const char* kKind = "blob";
constexpr const char* kDirectory = "blobs/sha256";

struct BlobRecord {
  std::uint64_t size = 0;
};

}  // namespace
}  // namespace bryo::storage

template <>
struct bryo::json::Fields<bryo::storage::BlobRecord> {
  static constexpr auto list = std::tuple{field("size", &bryo::storage::BlobRecord::size)};
};

namespace bryo::storage {

class BlobStore::Impl {
 public:
  Impl(DataRoot& data_root, DocumentStore& document_store)
      : root(data_root),
        documents(document_store),
        directory(root.directory().resolve(kDirectory, O_RDONLY | O_DIRECTORY)) {
    for (const auto& document : documents.list(kKind, ""))
      if (const auto digest = Digest::try_parse("sha256:" + document.key.id))
        blobs_[*digest] = json::decode<BlobRecord>(json::parse(document.text)).size;
    drop_unrecorded();
  }

  std::optional<BlobInfo> find(const Digest& digest) const {
    const std::lock_guard lock(mutex_);
    const auto found = blobs_.find(digest);
    if (found == blobs_.end()) return std::nullopt;
    return BlobInfo{digest, found->second};
  }

  void add(const BlobInfo& blob) {
    const std::lock_guard lock(mutex_);
    blobs_[blob.digest] = blob.size;
  }

  bool forget(const Digest& digest) {
    const std::lock_guard lock(mutex_);
    return blobs_.erase(digest) > 0;
  }

  std::vector<BlobInfo> list() const {
    const std::lock_guard lock(mutex_);
    std::vector<BlobInfo> all;
    for (const auto& [digest, size] : blobs_) all.push_back({digest, size});
    return all;
  }

  DataRoot& root;
  DocumentStore& documents;
  const UniqueFd directory;

 private:
  // A crash left files without a record, or (disk damage) records without a file of the right size.
  void drop_unrecorded() {
    std::map<Digest, std::uint64_t> there;
    for (const auto& entry : kernel::read_directory(directory.get())) {
      const auto digest = Digest::try_parse("sha256:" + entry.name);
      if (digest && blobs_.contains(*digest))
        there[*digest] = static_cast<std::uint64_t>(kernel::stat_at(directory.get(), entry.name).st_size);
      else
        root.discard(std::string(kDirectory) + "/" + entry.name);
    }
    std::erase_if(blobs_, [&](const auto& blob) {
      const auto found = there.find(blob.first);
      if (found != there.end() && found->second == blob.second) return false;
      log::warning("blob {} is missing or cut short on disk: it will be fetched again", blob.first.str());
      return true;
    });
  }

  mutable std::mutex mutex_;
  std::map<Digest, std::uint64_t> blobs_;  // digest → size; guarded by mutex_
};

struct BlobStore::Writer::State {
  BlobStore::Impl& store;
  std::string temporary;  // below the root
  UniqueFd file;
  Sha256 hash;
  std::uint64_t written = 0;
  std::uint64_t flushed = 0;

  ~State() {
    if (!temporary.empty()) ::unlinkat(store.root.fd(), temporary.c_str(), 0);
  }
};

BlobStore::Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlobStore::Writer::Writer(Writer&&) noexcept = default;
BlobStore::Writer& BlobStore::Writer::operator=(Writer&&) noexcept = default;
BlobStore::Writer::~Writer() = default;

void BlobStore::Writer::write(std::span<const std::byte> bytes) {
  // Disk writes begin while the rest still arrives, so that the sync at the end has little left to do.
  constexpr std::uint64_t kFlushEvery = 8U << 20;
  state_->hash.update(bytes);
  kernel::write_all(state_->file.get(), bytes);
  state_->written += bytes.size();
  if (state_->written - state_->flushed < kFlushEvery) return;
  ::sync_file_range(state_->file.get(), static_cast<off_t>(state_->flushed),
                    static_cast<off_t>(state_->written - state_->flushed), SYNC_FILE_RANGE_WRITE);
  state_->flushed = state_->written;
}

std::uint64_t BlobStore::Writer::written() const { return state_->written; }

BlobInfo BlobStore::Writer::finish(const std::optional<Digest>& expected, std::optional<std::uint64_t> expected_size,
                                   Durability durability) {
  State& state = *state_;
  const BlobInfo blob{state.hash.finish(), state.written};
  if (expected_size && *expected_size != blob.size)
    fail(ErrorKind::invalid_argument, "blob of {} bytes does not match the {} bytes that were announced", blob.size,
         *expected_size);
  if (expected && *expected != blob.digest)
    fail(ErrorKind::invalid_argument, "blob with digest {} does not match the expected {}", blob.digest.str(),
         expected->str());
  if (state.store.find(blob.digest)) return blob;
  if (durability == Durability::now) kernel::sync_file(state.file.get());
  state.store.root.step("blob: written");
  kernel::rename_at(state.store.root.fd(), state.temporary, state.store.directory.get(), blob.digest.hex());
  state.temporary.clear();
  state.store.root.step("blob: renamed");
  if (durability == Durability::now) {
    kernel::sync_file(state.store.directory.get());
    state.store.documents.put_as({kKind, "", blob.digest.hex()}, BlobRecord{blob.size});
  }
  state.store.add(blob);
  return blob;
}

BlobStore::BlobStore(DataRoot& root, DocumentStore& documents) : impl_(std::make_unique<Impl>(root, documents)) {}
BlobStore::~BlobStore() = default;

BlobStore::Writer BlobStore::writer() {
  std::string temporary = "tmp/blob-" + random_hex_id().substr(0, 16);
  UniqueFd file = kernel::open_at(impl_->root.fd(), temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
  return Writer(std::unique_ptr<Writer::State>(new Writer::State{*impl_, std::move(temporary), std::move(file), {}}));
}

BlobInfo BlobStore::put(std::string_view bytes, Durability durability) {
  Writer out = writer();
  out.write(bytes);
  return out.finish({}, {}, durability);
}

std::optional<BlobInfo> BlobStore::find(const Digest& digest) const { return impl_->find(digest); }

UniqueFd BlobStore::open(const Digest& digest) const {
  if (!has(digest)) fail(ErrorKind::not_found, "blob {} is not here", digest.str());
  return kernel::open_at(impl_->directory.get(), digest.hex(), O_RDONLY);
}

std::unique_ptr<ByteSource> BlobStore::read(const Digest& digest) const {
  return std::make_unique<FdSource>(open(digest));
}

std::string BlobStore::read_text(const Digest& digest, std::size_t limit) const {
  std::string text = kernel::read_file(open(digest).get(), limit);
  if (Digest::of(text) != digest)
    fail(ErrorKind::internal, "blob {} is damaged on disk: remove and pull its image again", digest.str());
  return text;
}

std::vector<BlobInfo> BlobStore::list() const { return impl_->list(); }

void BlobStore::remove(const Digest& digest) {
  if (!impl_->forget(digest)) return;
  impl_->documents.erase({kKind, "", digest.hex()});
  impl_->root.step("blob: record erased");
  if (::unlinkat(impl_->directory.get(), digest.hex().c_str(), 0) != 0 && errno != ENOENT)
    fail_errno("unlink blob {}", digest.str());
}

Change BlobStore::record_of(const BlobInfo& blob) const {
  return DocumentStore::change({kKind, "", blob.digest.hex()}, BlobRecord{blob.size});
}

}  // namespace bryo::storage

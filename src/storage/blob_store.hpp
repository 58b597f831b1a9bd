// Content-addressed bytes: manifests, configs and compressed layers as they came. Which blobs are there, and are their
// bytes what their digest says?
//
// A blob is in the store when its record is (kind "blob"). The writer hashes while it streams and checks digest and
// size before the rename: nothing unverified is ever reachable (CVE-2014-8179). Any thread; a Writer belongs to one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/digest.hpp"
#include "base/unique_fd.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"

namespace bryo::storage {

struct BlobInfo {
  Digest digest;
  std::uint64_t size = 0;
};

// When is a finished blob or layer durable?
enum class Durability {
  now,    // before the call returns
  later,  // after the caller's own Commit (below): one syncfs and one transaction for a whole pull
};

class BlobStore {
 public:
  BlobStore(DataRoot& root, DocumentStore& documents);
  ~BlobStore();

  // Streams a new blob. Destroyed without finish(): nothing remains.
  class Writer final : public ByteSink {
   public:
    ~Writer() override;
    Writer(Writer&&) noexcept;
    Writer& operator=(Writer&&) noexcept;
    using ByteSink::write;
    void write(std::span<const std::byte> bytes) override;
    std::uint64_t written() const;
    // Digest and size are checked where given: Error{invalid_argument} "… does not match …" otherwise.
    BlobInfo finish(const std::optional<Digest>& expected = {}, std::optional<std::uint64_t> expected_size = {},
                    Durability durability = Durability::now);

   private:
    friend class BlobStore;
    struct State;
    explicit Writer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };

  Writer writer();
  BlobInfo put(std::string_view bytes, Durability durability = Durability::now);

  // Blobs finished with Durability::later are found too (by this process).
  std::optional<BlobInfo> find(const Digest& digest) const;
  bool has(const Digest& digest) const { return find(digest).has_value(); }
  // Error{not_found}.
  UniqueFd open(const Digest& digest) const;
  std::unique_ptr<ByteSource> read(const Digest& digest) const;
  // Small ones; the digest is checked again. Error{exhausted} above `limit`.
  std::string read_text(const Digest& digest, std::size_t limit) const;
  std::vector<BlobInfo> list() const;
  // Missing is fine.
  void remove(const Digest& digest);

  // The record that makes a Durability::later blob permanent, for the caller's transaction after DataRoot::sync().
  Change record_of(const BlobInfo& blob) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::storage

// The unpacked layers, each a directory tree named by its chain id (image-spec config.md, "Layer ChainID").
//
// unpack() reads a tar stream, compressed or not, and writes it below layers/ through descriptors only; the diff id
// (sha256 of the uncompressed bytes) is computed on the way and checked before the rename. Whiteouts become what
// overlayfs reads: 0:0 character devices and trusted.overlay.opaque. Order does not matter: the layers of an image may
// be unpacked at the same time, in any order, from several threads; two callers that want the same layer share one
// unpacking. Owners are the image's (0…65535): maps are a matter of mounting.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/digest.hpp"
#include "base/digest_json.hpp"
#include "storage/blob_store.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"

namespace bryo::storage {

// What hostile input may cost. 0 = no bound but the space of the disk.
struct UnpackLimits {
  std::uint64_t bytes = 0;                    // of all files of one layer
  std::uint64_t entries = 5'000'000;          // of one layer
  std::uint64_t ratio = 0;                    // uncompressed : compressed, looked at after the first 64 MiB
  std::uint32_t depth = 2048;                 // components of one name
  std::uint64_t reserve_bytes = 64ULL << 20;  // free space that must remain on the disk
};

// sha256 of "<parent chain> <diff id>"; of the first layer: its diff id.
Digest chain_id(const std::optional<Digest>& parent, const Digest& diff_id);
// Of the whole list, base first; nullopt when it is empty.
std::optional<Digest> chain_id(const std::vector<Digest>& diff_ids);

struct LayerInfo {
  Digest chain;
  Digest diff_id;
  std::optional<Digest> parent;  // chain id
  std::uint64_t size = 0;        // bytes in regular files, as Docker counts a layer
  std::uint64_t entries = 0;
  // Highest ids that the layer's files belong to: a map must reach as far to show them all.
  std::uint32_t max_uid = 0;
  std::uint32_t max_gid = 0;
  bool has_root_entry = false;  // the tar had an entry for "./": mode and owner of "/" come from this layer
};

struct UnpackRequest {
  std::optional<Digest> parent;   // chain id
  std::optional<Digest> diff_id;  // expected; without it the stream decides (import, old archives)
  Durability durability = Durability::now;
  UnpackLimits limits;
  // Bytes of the compressed stream read so far; called from the unpacking thread.
  std::function<void(std::uint64_t)> progress;
};

class LayerStore {
 public:
  LayerStore(DataRoot& root, DocumentStore& documents);
  ~LayerStore();

  // Blocking; uses one more thread of its own for writing. When the layer is there already (or another thread has just
  // unpacked it) `source` is not read further than needed and the layer is returned.
  LayerInfo unpack(const UnpackRequest& request, ByteSource& source);

  std::optional<LayerInfo> find(const Digest& chain) const;
  bool has(const Digest& chain) const { return find(chain).has_value(); }
  // From the given one down to the base: top first. Error{not_found} naming what is missing.
  std::vector<LayerInfo> chain(const Digest& top) const;
  std::vector<LayerInfo> list() const;
  // "<root>/layers"; a layer is its chain id's hex below it.
  const std::string& directory() const;
  std::string path_of(const Digest& chain) const;
  // The directory (name below directory()) of mount points that the image of this chain lacks: /dev, /proc, /sys,
  // /etc/hosts, /etc/resolv.conf, /etc/hostname, /.dockerenv. Made once per chain, shared by all maps; without a chain
  // (image with no layers) of an empty image.
  std::string init_layer(const std::optional<Digest>& chain);

  // Layers unpacked with Durability::later: after DataRoot::sync(), put these changes into the caller's transaction.
  Change record_of(const LayerInfo& layer) const;

  // The caller has made sure that no image and no snapshot uses it. Record first, then the trash. Missing is fine.
  void remove(const Digest& chain);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::storage

template <>
struct bryo::json::Fields<bryo::storage::LayerInfo> {
  using T = storage::LayerInfo;
  static constexpr auto list =
      std::tuple{field("chain", &T::chain),    field("diffId", &T::diff_id),          field("parent", &T::parent),
                 field("size", &T::size),      field("entries", &T::entries),         field("maxUid", &T::max_uid),
                 field("maxGid", &T::max_gid), field("rootEntry", &T::has_root_entry)};
};

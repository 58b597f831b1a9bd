#include "images/layer_ingest.hpp"

#include <utility>

#include "base/error.hpp"

namespace bryo::images {
namespace {

using storage::BlobStore;
using storage::Durability;
using storage::LayerInfo;
using storage::LayerStore;
using storage::UnpackRequest;

// Counts what comes from the network, keeps it, and hands it on.
class KeptSource final : public ByteSource {
 public:
  KeptSource(ByteSource& source, BlobStore::Writer& blob, const IngestRequest& request)
      : source_(source), blob_(blob), request_(request) {}

  std::size_t read(std::span<std::byte> into) override {
    const std::size_t got = source_.read(into);
    if (got == 0) return 0;
    blob_.write(into.first(got));
    if (std::cmp_greater(blob_.written(), request_.descriptor.size))
      fail(ErrorKind::invalid_argument, "blob {} is longer than the {} bytes its manifest says",
           request_.descriptor.digest.str(), request_.descriptor.size);
    if (request_.downloaded) request_.downloaded(blob_.written());
    return got;
  }

 private:
  ByteSource& source_;
  BlobStore::Writer& blob_;
  const IngestRequest& request_;
};

Digest chain_of(const IngestRequest& request) { return storage::chain_id(request.parent, request.diff_id); }

LayerInfo unpack(LayerStore& layers, const IngestRequest& request, ByteSource& source) {
  UnpackRequest unpack;
  unpack.parent = request.parent;
  unpack.diff_id = request.diff_id;
  unpack.durability = Durability::later;
  unpack.limits = request.limits;
  unpack.progress = request.extracted;
  return layers.unpack(unpack, source);
}

}  // namespace

std::optional<IngestedLayer> already_here(const BlobStore& blobs, const LayerStore& layers,
                                          const IngestRequest& request) {
  auto blob = blobs.find(request.descriptor.digest);
  if (!blob) return std::nullopt;
  auto layer = layers.find(chain_of(request));
  if (!layer) return std::nullopt;
  return IngestedLayer{std::move(*blob), std::move(*layer)};
}

IngestedLayer ingest_layer(BlobStore& blobs, LayerStore& layers, const IngestRequest& request, ByteSource& source) {
  if (request.descriptor.size < 0) fail(ErrorKind::invalid_argument, "a layer of negative size");
  if (const auto blob = blobs.find(request.descriptor.digest)) {
    const auto kept = blobs.read(request.descriptor.digest);
    return {*blob, unpack(layers, request, *kept)};
  }
  BlobStore::Writer writer = blobs.writer();
  KeptSource kept(source, writer, request);
  IngestedLayer result;
  result.layer = unpack(layers, request, kept);
  // The unpacker may have stopped early: the layer was there already, or bytes follow the end of the archive.
  std::vector<std::byte> rest(256U << 10);
  while (kept.read(rest) > 0) {
  }
  result.blob =
      writer.finish(request.descriptor.digest, static_cast<std::uint64_t>(request.descriptor.size), Durability::later);
  return result;
}

}  // namespace bryo::images

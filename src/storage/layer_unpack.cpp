#include "storage/layer_unpack.hpp"

#include <fcntl.h>

#include <atomic>
#include <thread>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/user_namespace.hpp"
#include "storage/chunk_source.hpp"
#include "storage/compression.hpp"
#include "storage/tree_writer.hpp"

namespace bryo::storage {
namespace {

class CountingSource final : public ByteSource {
 public:
  CountingSource(ByteSource& source, const std::function<void(std::uint64_t)>& progress)
      : source_(source), progress_(progress) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t got = source_.read(into);
    const std::uint64_t total = count_ += got;
    if (got > 0 && progress_) progress_(total);
    return got;
  }
  std::uint64_t count() const { return count_; }

 private:
  ByteSource& source_;
  const std::function<void(std::uint64_t)>& progress_;
  std::atomic<std::uint64_t> count_ = 0;
};

class HashingSource final : public ByteSource {
 public:
  explicit HashingSource(ByteSource& source) : source_(source) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t got = source_.read(into);
    hash_.update(into.first(got));
    return got;
  }
  Digest finish() { return hash_.finish(); }

 private:
  ByteSource& source_;
  Sha256 hash_;
};

}  // namespace

LayerInfo unpack_layer(DataRoot& root, const std::string& directory, const UnpackRequest& request, ByteSource& source) {
  const kernel::RootDirectory tree(kernel::open_at(root.fd(), directory, O_RDONLY | O_DIRECTORY));
  kernel::change_mode(tree.fd(), 0755);
  CountingSource counted(source, request.progress);
  TreeWriterOptions options;
  options.layer = true;
  if (!kernel::in_initial_user_namespace()) {
    options.shift = IdShift::folded();
    options.devices = false;
  }
  options.limits = request.limits;
  options.compressed_bytes = [&] { return counted.count(); };
  TreeWriter writer(tree, std::move(options));
  Digest diff_id;
  std::exception_ptr failure;
  // A thread of its own because the umask is a thread's for life.
  std::thread worker([&] {
    try {
      unmask_this_thread();
      const auto decoder = make_decoder(counted);
      HashingSource hashed(*decoder);
      ReadAhead chunks(hashed);
      TarReader reader(chunks);
      writer.write(reader);
      reader.drain();
      diff_id = hashed.finish();
    } catch (...) {
      failure = std::current_exception();
    }
  });
  worker.join();
  if (failure) std::rethrow_exception(failure);
  if (request.diff_id && *request.diff_id != diff_id)
    fail(ErrorKind::invalid_argument, "layer with diff id {} does not match the expected {}", diff_id.str(),
         request.diff_id->str());
  const TreeWriterTotals& totals = writer.totals();
  LayerInfo layer;
  layer.chain = chain_id(request.parent, diff_id);
  layer.diff_id = diff_id;
  layer.parent = request.parent;
  layer.size = totals.bytes;
  layer.entries = totals.entries;
  layer.max_uid = totals.max_uid;
  layer.max_gid = totals.max_gid;
  layer.has_root_entry = totals.root_entry;
  return layer;
}

}  // namespace bryo::storage

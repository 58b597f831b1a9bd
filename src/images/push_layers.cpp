#include "images/push_layers.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/error.hpp"

namespace bryo::images {

namespace {

constexpr int kAttempts = 5;
constexpr std::size_t kMountTries = 3;

bool is_worth_retrying(const Error& error) { return error.kind() == ErrorKind::unavailable; }

class LayerPush {
 public:
  LayerPush(const PushContext& context, const std::vector<PushLayer>& layers) : context_(context), layers_(layers) {
    for (std::size_t i = layers.size(); i-- > 0;) order_.push_back(i);
  }

  void run() {
    const auto parallel = static_cast<std::size_t>(std::max(context_.parallel, 1));
    for (const std::size_t index : order_) line(index, "Preparing");
    for (std::size_t i = parallel; i < order_.size(); ++i) line(order_[i], "Waiting");
    std::vector<std::jthread> workers;  // joined, too, where the system has no more of them
    for (std::size_t i = 0; i < std::min(parallel, order_.size()); ++i) workers.emplace_back([this] { work(); });
    for (std::jthread& worker : workers) worker.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::string id(std::size_t index) const { return layers_[index].diff_id.short_id(); }
  void line(std::size_t index, std::string status) { context_.progress.layer(id(index), std::move(status)); }
  bool stopped() const { return stop_ || (context_.cancelled && context_.cancelled()); }

  void work() {
    for (std::size_t next = next_++; next < order_.size(); next = next_++) {
      try {
        if (stopped()) throw Error(ErrorKind::cancelled, "context canceled");
        push_with_retries(order_[next]);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        stop_ = true;
        return;
      }
    }
  }

  void push_with_retries(std::size_t index) {
    context_.slots.take([this] { return stopped(); });
    struct GiveBack {
      Slots& slots;
      ~GiveBack() { slots.give_back(); }
    } const give_back{context_.slots};
    for (int attempt = 1;; ++attempt) {
      try {
        push(index);
        return;
      } catch (const Error& error) {
        if (attempt >= kAttempts || !is_worth_retrying(error)) throw;
      }
      for (int seconds = attempt; seconds > 0; --seconds) {
        line(index, fmt::format("Retrying in {} second{}", seconds, seconds == 1 ? "" : "s"));
        wait_a_second();
      }
    }
  }

  void wait_a_second() const {
    for (int i = 0; i < 10; ++i) {
      if (stopped()) throw Error(ErrorKind::cancelled, "context canceled");
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  void push(std::size_t index) {
    const PushLayer& layer = layers_[index];
    if (context_.repository.has_blob(layer.blob.digest)) return line(index, "Layer already exists");
    for (std::size_t i = 0; i < std::min(layer.known_in.size(), kMountTries); ++i)
      if (context_.repository.mount_blob(layer.blob.digest, layer.known_in[i]))
        return line(index, "Mounted from " + layer.known_in[i]);
    const auto size = static_cast<std::uint64_t>(layer.blob.size);
    Pace pace;
    context_.repository.upload_blob(
        layer.blob.digest, size, [&] { return context_.blobs.read(layer.blob.digest); },
        [&](std::uint64_t sent) {
          if (stopped()) throw Error(ErrorKind::cancelled, "context canceled");
          if (pace.due() || sent == size)
            context_.progress.layer(id(index), "Pushing", static_cast<std::int64_t>(sent), layer.blob.size);
        });
    line(index, "Pushed");
  }

  const PushContext& context_;
  const std::vector<PushLayer>& layers_;
  std::vector<std::size_t> order_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;  // guarded by mutex_
};

}  // namespace

void push_layers(const PushContext& context, const std::vector<PushLayer>& layers) { LayerPush(context, layers).run(); }

void push_small(const PushContext& context, const Digest& digest, std::string_view bytes) {
  if (context.repository.has_blob(digest)) return;
  context.repository.upload_blob(digest, bytes.size(), [&] { return std::make_unique<MemorySource>(bytes); }, {});
}

}  // namespace bryo::images

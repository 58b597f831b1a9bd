#include "images/pull_layers.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/error.hpp"

namespace bryo::images {

namespace {

// Opens the blob when its first byte is wanted: a layer that is here already costs no request.
class LazyBlob final : public ByteSource {
 public:
  LazyBlob(registry::Repository& repository, const oci::Descriptor& descriptor)
      : repository_(repository), descriptor_(descriptor) {}
  std::size_t read(std::span<std::byte> into) override {
    // The store hashes every byte that it keeps.
    if (!stream_) stream_ = repository_.blob(descriptor_, registry::Verify::by_caller);
    return stream_->read(into);
  }

 private:
  registry::Repository& repository_;
  const oci::Descriptor& descriptor_;
  std::unique_ptr<ByteSource> stream_;
};

class LayerPull {
 public:
  LayerPull(const PullLayersContext& context, const PullPlan& plan) : context_(context), plan_(plan) {
    requests_.reserve(plan.parsed.layers.size());
    std::optional<Digest> parent;
    for (std::size_t i = 0; i < plan.parsed.layers.size(); ++i) {
      IngestRequest request;
      request.descriptor = plan.parsed.layers[i];
      request.diff_id = plan.diff_ids[i];
      request.parent = parent;
      parent = storage::chain_id(parent, request.diff_id);
      requests_.push_back(std::move(request));
    }
    results_.resize(requests_.size());
  }

  std::vector<IngestedLayer> run() {
    announce();
    const std::size_t threads = std::min(missing_.size(), static_cast<std::size_t>(std::max(context_.parallel, 1)));
    std::vector<std::jthread> workers;  // joined, too, where the system has no more of them
    for (std::size_t i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
    for (std::jthread& worker : workers) worker.join();
    if (failure_) std::rethrow_exception(failure_);
    std::vector<IngestedLayer> out;
    for (auto& result : results_) out.push_back(*std::move(result));
    return out;
  }

 private:
  std::string id(std::size_t index) const { return requests_[index].descriptor.digest.short_id(); }

  void announce() {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      results_[i] = already_here(context_.blobs, context_.layers, requests_[i]);
      if (!results_[i]) missing_.push_back(i);
      context_.progress.layer(id(i), results_[i] ? "Already exists" : "Pulling fs layer");
    }
    for (std::size_t i = static_cast<std::size_t>(std::max(context_.parallel, 1)); i < missing_.size(); ++i)
      context_.progress.layer(id(missing_[i]), "Waiting");
  }

  void work() {
    for (std::size_t next = next_++; next < missing_.size(); next = next_++) {
      try {
        if (*context_.stop) return;
        if (context_.cancelled && context_.cancelled()) throw Error(ErrorKind::cancelled, "context canceled");
        results_[missing_[next]] = pull(missing_[next]);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        // What follows from stopping the others is not the reason.
        if (!failure_) failure_ = std::current_exception();
        *context_.stop = true;
        return;
      }
    }
  }

  IngestedLayer pull(std::size_t index) {
    const IngestRequest& request = requests_[index];
    const std::string key = request.descriptor.digest.hex() + storage::chain_id(request.parent, request.diff_id).hex();
    const std::int64_t size = request.descriptor.size;
    const auto cancelled = [this] { return *context_.stop || (context_.cancelled && context_.cancelled()); };
    Pace pace;
    const IngestedLayer result = context_.flights.get(
        key, context_.followers, [&](LayerFlights::Flight& flight) { return fetch(index, flight); },
        [&](std::int64_t bytes) {
          if (pace.due()) context_.progress.layer(id(index), "Downloading", bytes, size);
        },
        cancelled);
    context_.progress.layer(id(index), "Pull complete");
    return result;
  }

  IngestedLayer fetch(std::size_t index, LayerFlights::Flight& flight) {
    IngestRequest request = requests_[index];
    // Another pull may have finished it between our look and this flight.
    if (auto here = already_here(context_.blobs, context_.layers, request)) return *std::move(here);
    context_.slots.take([this] { return *context_.stop || (context_.cancelled && context_.cancelled()); });
    struct GiveBack {
      Slots& slots;
      ~GiveBack() { slots.give_back(); }
    } const give_back{context_.slots};
    const std::int64_t size = request.descriptor.size;
    Pace download_pace;
    Pace extract_pace;
    bool complete = false;
    request.downloaded = [&](std::uint64_t bytes) {
      const auto now = static_cast<std::int64_t>(bytes);
      flight.downloaded = now;
      if (now < size) {
        if (download_pace.due()) context_.progress.layer(id(index), "Downloading", now, size);
      } else if (!std::exchange(complete, true)) {
        context_.progress.layer(id(index), "Downloading", now, size);
        context_.progress.layer(id(index), "Verifying Checksum");
        context_.progress.layer(id(index), "Download complete");
      }
    };
    request.extracted = [&](std::uint64_t bytes) {
      if (complete && extract_pace.due())
        context_.progress.layer(id(index), "Extracting", static_cast<std::int64_t>(bytes), size);
    };
    LazyBlob source(context_.repository, request.descriptor);
    try {
      IngestedLayer layer = ingest_layer(context_.blobs, context_.layers, request, source);
      context_.progress.layer(id(index), "Extracting", size, size);
      return layer;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::invalid_argument) throw;
      throw error.within("failed to register layer " + id(index));
    }
  }

  const PullLayersContext& context_;
  const PullPlan& plan_;
  std::vector<IngestRequest> requests_;
  std::vector<std::optional<IngestedLayer>> results_;  // each written by the one thread that has its index
  std::vector<std::size_t> missing_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::exception_ptr failure_;  // guarded by mutex_
};

}  // namespace

void Slots::take(const registry::Cancelled& cancelled) {
  std::unique_lock lock(mutex_);
  while (free_ == 0) {
    changed_.wait_for(lock, std::chrono::milliseconds(100));
    if (cancelled && cancelled()) throw Error(ErrorKind::cancelled, "context canceled");
  }
  --free_;
}

void Slots::give_back() {
  const std::lock_guard lock(mutex_);
  ++free_;
  changed_.notify_one();
}

void ProgressLines::send(const ProgressEvent& event) {
  if (!events_) return;
  const std::lock_guard lock(mutex_);
  events_(event);
}

void ProgressLines::line(std::string id, std::string status) {
  send({.status = std::move(status), .id = std::move(id), .aux = nullptr});
}

void ProgressLines::layer(const std::string& id, std::string status, std::int64_t current, std::int64_t total) {
  send({.status = std::move(status),
        .id = id,
        .current = current,
        .total = total,
        .has_progress = true,
        .aux = nullptr});
}

void ProgressLines::aux(json::Value value) { send({.status = "", .id = "", .aux = std::move(value)}); }

bool Pace::due() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return false;
  next_ = now + std::chrono::milliseconds(100);
  return true;
}

std::vector<IngestedLayer> pull_layers(const PullLayersContext& context, const PullPlan& plan) {
  return LayerPull(context, plan).run();
}

}  // namespace bryo::images

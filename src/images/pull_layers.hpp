// The layers of one image, several at a time. Private to pull.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "images/layer_ingest.hpp"
#include "images/pull_flights.hpp"
#include "images/pull_plan.hpp"
#include "images/pull_progress.hpp"

namespace bryo::images {

// Counts what runs at the same time in the whole engine (--max-concurrent-downloads). Thread-safe.
class Slots {
 public:
  explicit Slots(int count) : free_(count > 0 ? count : 1) {}
  // Waits; Error{cancelled}.
  void take(const registry::Cancelled& cancelled);
  void give_back();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;  // guarded by mutex_
};

// One event at a time, from any thread; "Downloading" of one layer at most ten times a second.
class ProgressLines {
 public:
  explicit ProgressLines(const ProgressEvents& events) : events_(events) {}
  void line(std::string id, std::string status);
  void layer(const std::string& id, std::string status, std::int64_t current = 0, std::int64_t total = 0);
  void aux(json::Value value);

 private:
  void send(const ProgressEvent& event);
  const ProgressEvents& events_;
  std::mutex mutex_;
};

// Says when it is time for the next of many events. One thread.
class Pace {
 public:
  bool due();

 private:
  std::chrono::steady_clock::time_point next_{};
};

struct PullLayersContext {
  storage::BlobStore& blobs;
  storage::LayerStore& layers;
  LayerFlights& flights;
  Slots& slots;
  registry::Repository& repository;
  ProgressLines& progress;
  registry::Cancelled cancelled;            // the caller's own wish
  Followers followers;                      // of the flights this pull leads
  std::shared_ptr<std::atomic<bool>> stop;  // one layer failed: the others end too
  int parallel = 3;
};

// All layers of the plan, base first; unpacked and kept, with Durability::later. The first failure is thrown, after all
// threads have ended.
std::vector<IngestedLayer> pull_layers(const PullLayersContext& context, const PullPlan& plan);

}  // namespace bryo::images

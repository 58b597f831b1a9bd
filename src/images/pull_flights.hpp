// Two pulls want the same layer: one fetches it, the other waits. Private to pull.
//
//   join() ──first──▶ leader: fetches, then land(result) or crash()
//      └───later───▶ follower: waits; takes the result, or on crash joins again and may lead
//
// A leader whose own client has gone goes on while somebody follows one of its flights. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "images/layer_ingest.hpp"
#include "registry/options.hpp"

namespace bryo::images {

// Shared by all flights that one pull leads: how many wait for them?
using Followers = std::shared_ptr<std::atomic<int>>;

class LayerFlights {
 public:
  struct Flight {
    Followers followers;  // of the leader
    std::atomic<std::int64_t> downloaded = 0;
    bool over = false;                    // guarded by the mutex of LayerFlights, as the result is
    std::optional<IngestedLayer> result;  // empty when over: it crashed
  };

  // Runs `fetch` if nobody fetches this layer, else waits; `watch` is told the bytes of the one who does.
  // Error{cancelled} when `cancelled` says so while waiting.
  IngestedLayer get(const std::string& key, const Followers& own,
                    const std::function<IngestedLayer(Flight& flight)>& fetch,
                    const std::function<void(std::int64_t)>& watch, const registry::Cancelled& cancelled);

 private:
  std::optional<IngestedLayer> follow(std::unique_lock<std::mutex>& lock, const std::shared_ptr<Flight>& flight,
                                      const std::function<void(std::int64_t)>& watch,
                                      const registry::Cancelled& cancelled);
  void end(const std::string& key, const std::shared_ptr<Flight>& flight, std::optional<IngestedLayer> result);

  std::mutex mutex_;
  std::condition_variable landed_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;  // guarded by mutex_
};

}  // namespace bryo::images

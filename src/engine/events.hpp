// The stream of events (Docker's /events): who did what to which object, when. Thread-safe.
//
// The newest 256 events (and at most 256 kB of them) are kept for --since. A subscriber gets a descriptor of JSON
// lines; one that does not read is told "gap" by losing its connection: the engine never waits for a reader
// (security.md D14).
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "base/worker_pool.hpp"
#include "engine/types/values.hpp"

namespace bryo::engine {

struct Event {
  std::string type;    // container, image, network, volume, daemon
  std::string action;  // start, die, …
  std::string actor_id;
  Labels attributes;
  WallTime time;
};

// Docker's JSON of it, with the old fields (status, id, from) for containers and images.
json::Value to_json(const Event& event);
Event event_of(const json::Value& json, WallTime time);
bool matches(const Event& event, const Filters& filters);

// The newest events as lines of JSON, in one block of memory: small things that live long, strewn among what requests
// allocate, would each keep a page from being given back. Not thread-safe.
class EventHistory {
 public:
  EventHistory();
  // Forgets the oldest to make room. A line that is larger than all of it is not kept.
  void add(WallTime time, std::string_view line);
  // Oldest first.
  void each(const std::function<void(WallTime, std::string_view)>& visit) const;
  std::optional<WallTime> newest() const;

 private:
  void forget_oldest();
  struct Entry {
    WallTime time;
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  Entry& at(std::size_t number) { return entries_[(first_ + number) % entries_.size()]; }
  const Entry& at(std::size_t number) const { return entries_[(first_ + number) % entries_.size()]; }

  std::unique_ptr<char[]> bytes_;
  std::vector<Entry> entries_;  // a ring
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

class EventBus {
 public:
  static constexpr int kSendBuffer = 1 << 20;  // bytes that a slow reader may lag behind, where the kernel allows them

  explicit EventBus(WorkerPool& pool, int send_buffer = kSendBuffer) : pool_(pool), send_buffer_(send_buffer) {}
  void publish(std::string type, std::string action, std::string actor_id, Labels attributes);
  // Past events in [since, until], then live ones until `until` or until the reader closes.
  UniqueFd subscribe(std::optional<WallTime> since, std::optional<WallTime> until, Filters filters);

 private:
  struct Subscriber {
    UniqueFd fd;
    Filters filters;
  };

  // False when the reader is gone or too slow.
  static bool send(const Subscriber& subscriber, std::string_view lines);
  static bool is_open(const Subscriber& subscriber);
  void sweep();
  void end_later(const std::shared_ptr<Subscriber>& subscriber, WallTime until);

  WorkerPool& pool_;
  const int send_buffer_;
  std::mutex mutex_;
  EventHistory recent_;
  std::list<std::shared_ptr<Subscriber>> subscribers_;
  bool sweeping_ = false;
};

}  // namespace bryo::engine

// The stream of events (Docker's /events): who did what to which object, when. Thread-safe.
//
// The newest 256 events are kept for --since. A subscriber gets a descriptor of JSON lines; one that does not read is
// told "gap" by losing its connection: the engine never waits for a reader (security.md D14).
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

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

class EventBus {
 public:
  explicit EventBus(WorkerPool& pool) : pool_(pool) {}
  void publish(std::string type, std::string action, std::string actor_id, Labels attributes);
  // Past events in [since, until], then live ones until `until` or until the reader closes.
  UniqueFd subscribe(std::optional<WallTime> since, std::optional<WallTime> until, Filters filters);

 private:
  struct Subscriber {
    UniqueFd fd;
    Filters filters;
  };

  // What is kept of an event: its line, a third of what the event takes.
  struct Past {
    WallTime time;
    std::string line;
  };

  // False when the reader is gone or too slow.
  static bool send(const Subscriber& subscriber, const Event& event, const std::string& line);
  static bool is_open(const Subscriber& subscriber);
  void sweep();
  void end_later(const std::shared_ptr<Subscriber>& subscriber, WallTime until);

  WorkerPool& pool_;
  std::mutex mutex_;
  std::deque<Past> recent_;
  std::list<std::shared_ptr<Subscriber>> subscribers_;
  bool sweeping_ = false;
};

}  // namespace bryo::engine

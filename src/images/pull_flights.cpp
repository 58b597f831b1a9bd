#include "images/pull_flights.hpp"

#include "base/error.hpp"

namespace bryo::images {

namespace {

struct Following {
  explicit Following(Followers followers) : followers_(std::move(followers)) { ++*followers_; }
  ~Following() { --*followers_; }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

 private:
  Followers followers_;
};

}  // namespace

IngestedLayer LayerFlights::get(const std::string& key, const Followers& own,
                                const std::function<IngestedLayer(Flight& flight)>& fetch,
                                const std::function<void(std::int64_t)>& watch, const registry::Cancelled& cancelled) {
  for (;;) {
    std::shared_ptr<Flight> flight;
    {
      std::unique_lock lock(mutex_);
      if (const auto found = flights_.find(key); found != flights_.end()) {
        // Whatever stopped the other one (its credentials, its client) need not stop us.
        if (auto result = follow(lock, found->second, watch, cancelled)) return *std::move(result);
        continue;
      }
      flight = std::make_shared<Flight>();
      flight->followers = own;
      flights_.emplace(key, flight);
    }
    try {
      IngestedLayer result = fetch(*flight);
      end(key, flight, result);
      return result;
    } catch (...) {
      end(key, flight, std::nullopt);
      throw;
    }
  }
}

std::optional<IngestedLayer> LayerFlights::follow(std::unique_lock<std::mutex>& lock,
                                                  const std::shared_ptr<Flight>& given,
                                                  const std::function<void(std::int64_t)>& watch,
                                                  const registry::Cancelled& cancelled) {
  const std::shared_ptr<Flight> flight = given;  // the map may let go of it
  const Following following(flight->followers);
  while (!flight->over) {
    landed_.wait_for(lock, std::chrono::milliseconds(100));
    lock.unlock();
    const bool stop = cancelled && cancelled();
    if (!stop) watch(flight->downloaded);
    lock.lock();
    if (stop && !flight->over) throw Error(ErrorKind::cancelled, "context canceled");
  }
  return flight->result;
}

void LayerFlights::end(const std::string& key, const std::shared_ptr<Flight>& flight,
                       std::optional<IngestedLayer> result) {
  const std::lock_guard lock(mutex_);
  flight->over = true;
  flight->result = std::move(result);
  flights_.erase(key);
  landed_.notify_all();
}

}  // namespace bryo::images

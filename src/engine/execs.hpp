// Further processes in running containers: docker exec, and the probes of health checks. Thread-safe.
//
// An exec is made (its request is checked), started once, and remembered until its container is removed, so that its
// exit code can be asked for; at most 512 that have ended are kept for each container.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/lifecycle.hpp"
#include "engine/types/streams.hpp"

namespace bryo::engine {

class Execs {
 public:
  Execs(Services& services, Lifecycle& lifecycle) : s_(services), lifecycle_(lifecycle) {}

  std::string create(const ContainerPtr& container, const ExecCreateRequest& request);
  Stream start(std::string_view id, const ExecStartRequest& request);
  // Its client has gone on its own wish. Never throws.
  void detached(std::string_view id);
  void resize(std::string_view id, unsigned rows, unsigned columns);
  ExecInspect inspect(std::string_view id) const;
  // Exit code once it has ended; nullopt when the deadline came first.
  std::optional<int> wait(std::string_view id, std::chrono::steady_clock::time_point deadline) const;
  // SIGTERM to its process, and SIGKILL where that does not help within `patience`. Nothing when it has ended.
  void end(std::string_view id, std::chrono::milliseconds patience) const;

  // Told by Lifecycle. Also: the container went down, so everything in it has ended.
  void ended(const std::string& container, const std::string& exec, int code);
  void container_down(const ContainerPtr& container);
  void forget(const ContainerPtr& container);

 private:
  enum class State { created, running, ended };
  struct Exec {
    std::string id;
    ContainerPtr container;
    ExecCreateRequest request;
    State state = State::created;
    std::optional<int> code;
    int pid = 0;
    std::uint64_t start_time = 0;
  };
  using ExecPtr = std::shared_ptr<Exec>;

  ExecPtr find(std::string_view id) const;
  void begin(Exec& exec);
  monitor::ExecRequest make_request(const Exec& exec, const Record& record, int pid, bool bypass,
                                    const ExecStartRequest& request);

  Services& s_;
  Lifecycle& lifecycle_;
  mutable std::mutex mutex_;  // guards the map and the states in it
  mutable std::condition_variable changed_;
  std::map<std::string, ExecPtr, std::less<>> execs_;
};

}  // namespace bryo::engine

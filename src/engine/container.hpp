// One container in memory: its record, its state machine, and what belongs to it while it runs.
//
//   created ──▶ running ◀──▶ paused        every state but running and paused may become `removing`,
//      │           │  ▲                    which ends in removal or, when that fails, in `dead`
//      │           ▼  │
//      └──────▶ exited ──▶ restarting ──▶ running
//
// `operation` serialises use cases that take long (start, remove, rename, update, commit …); it is always taken before
// `mutex`, which guards the fields and is held for moments only. A stop waits with neither.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "engine/record.hpp"
#include "engine/types/requests.hpp"
#include "monitor/hub.hpp"
#include "network/manager.hpp"

namespace bryo::engine {

enum class Status { created, running, paused, restarting, removing, exited, dead };
std::string_view to_string(Status status);
bool may_change(Status from, Status to);

struct Waiter {
  WaitCondition condition;
  std::function<void(WaitResult)> done;
  std::shared_ptr<bool> waiting;  // false once it is taken out of the list
};

// A client that attached before the container was started.
struct PendingAttach {
  AttachRequest request;
  UniqueFd socket;
};

// Where a run's cgroup is. `root`: the v2 directory that the engine of that time had been given; empty: the layout of
// this engine. No path: none.
struct CgroupName {
  std::string root;
  std::string path;
};

struct Container {
  explicit Container(Record from) : record(std::move(from)) {}

  bool is_up() const { return status == Status::running || status == Status::paused; }
  // Throws Error{internal} on a transition that the picture above does not have.
  void change(Status to);

  std::mutex operation;

  mutable std::mutex mutex;  // guards everything below
  std::condition_variable changed;
  Record record;
  Status status = Status::created;
  std::shared_ptr<monitor::Monitor> monitor;  // never null while is_up()
  monitor::Started process;
  CgroupName cgroup;
  std::vector<network::Endpoint> endpoints;
  bool bypass = false;  // its filters hold connect() back
  std::vector<network::PublishedPort> ports;
  std::optional<Health> health;
  std::set<std::string> execs;
  std::list<Waiter> waiters;
  std::vector<PendingAttach> pending;
  std::uint64_t runs = 0;       // counts starts: a timer of an earlier run finds another number
  bool stop_requested = false;  // by a user: no restart
  unsigned restarts_under_way = 0;
  std::chrono::steady_clock::time_point up_since{};
  std::chrono::milliseconds restart_delay{100};
};

using ContainerPtr = std::shared_ptr<Container>;

}  // namespace bryo::engine

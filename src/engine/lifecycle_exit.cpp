// What follows an exit, and removal.
#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/lifecycle.hpp"
#include "engine/process_group.hpp"
#include "kernel/files.hpp"

namespace bryo::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kLongRun = seconds(10);  // a run this long resets the delay before the next restart
constexpr auto kMaxRestartDelay = milliseconds(60'000);
constexpr int kLostExitCode = 255;
constexpr auto kMonitorsEnd = seconds(2);  // of one that has hung up

// Takes the waiters whose time has come.
std::vector<Waiter> due_waiters(Container& container, bool removed) {
  std::vector<Waiter> due;
  std::lock_guard lock(container.mutex);
  for (auto it = container.waiters.begin(); it != container.waiters.end();) {
    if (removed || it->condition != WaitCondition::removed) {
      *it->waiting = false;
      due.push_back(std::move(*it));
      it = container.waiters.erase(it);
    } else {
      ++it;
    }
  }
  return due;
}

class Ticket final : public WaitTicket {
 public:
  Ticket(ContainerPtr container, std::list<Waiter>::iterator place, std::shared_ptr<bool> waiting)
      : container_(std::move(container)), place_(place), waiting_(std::move(waiting)) {}
  ~Ticket() override {
    std::lock_guard lock(container_->mutex);
    if (*waiting_) container_->waiters.erase(place_);
  }

 private:
  ContainerPtr container_;
  std::list<Waiter>::iterator place_;
  std::shared_ptr<bool> waiting_;  // guarded by the container's mutex
};

class NoTicket final : public WaitTicket {};

}  // namespace

std::unique_ptr<WaitTicket> Lifecycle::wait(const ContainerPtr& container, WaitCondition condition,
                                            std::function<void(WaitResult)> done) {
  std::unique_lock lock(container->mutex);
  const bool up = container->is_up() || container->status == Status::restarting;
  if (condition == WaitCondition::not_running && !up) {
    const WaitResult result{container->record.exit_code, std::nullopt};
    lock.unlock();
    done(result);
    return std::make_unique<NoTicket>();
  }
  auto waiting = std::make_shared<bool>(true);
  Waiter waiter{condition, std::move(done), waiting};
  container->waiters.push_back(std::move(waiter));
  return std::make_unique<Ticket>(container, std::prev(container->waiters.end()), std::move(waiting));
}

void Lifecycle::answer_waiters(Container& container, WaitResult result, bool is_removed) {
  for (Waiter& waiter : due_waiters(container, is_removed)) waiter.done(result);
}

void Lifecycle::on_exit(const std::string& container_id, const monitor::ExitInfo& info) {
  s_.pool.post([this, container_id, info] {
    if (const auto container = s_.containers.try_find(container_id)) ended(container, info);
  });
}

void Lifecycle::on_exec_exit(const std::string& container_id, const std::string& exec_id, int code) {
  if (exec_ended) exec_ended(container_id, exec_id, code);
}

void Lifecycle::on_lost(const std::string& container_id, const std::string& reason) {
  log::error("monitor of container {} is lost: {}", container_id, reason);
  s_.pool.post([this, container_id] {
    const auto container = s_.containers.try_find(container_id);
    if (!container) return;
    std::optional<ProcessGroup> group;
    {
      std::lock_guard lock(container->mutex);
      group.emplace(s_, *container);
    }
    // Nobody reaps or watches it any more: what is left of it is killed, so that the record is true.
    group->kill_all();
    s_.bundles.settle(container_id, kMonitorsEnd);
    ended(container, {.code = kLostExitCode, .oom_killed = false, .finished_at = wall_now()});
  });
}

void Lifecycle::on_bypass_lost(const std::string& container_id) {
  s_.pool.post([this, container_id] {
    const auto container = s_.containers.try_find(container_id);
    if (!container) return;
    try {
      launcher_.replace_bypass(*container);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::conflict) return;  // it was asked for twice
      log::warning("container {}: its bypass helper is gone, and there is no other: {}", container_id, error.what());
    }
  });
}

void Lifecycle::on_warning(const std::string& container_id, const std::string& text) {
  log::warning("container {}: {}", container_id.substr(0, 12), text);
}

void Lifecycle::ended(const ContainerPtr& container, const monitor::ExitInfo& info) {
  std::unique_lock operation(container->operation);  // a start that is under way finishes first
  Record record;
  std::shared_ptr<monitor::Monitor> monitor;
  std::vector<network::Endpoint> endpoints;
  bool restart = false;
  bool keep = false;
  bool remove_it = false;
  {
    std::lock_guard lock(container->mutex);
    if (!container->is_up()) return;
    keep = container->restarts_under_way > 0;
    monitor = container->monitor;
    if (std::chrono::steady_clock::now() - container->up_since > kLongRun) container->restart_delay = milliseconds(100);
    container->record.exit_code = info.code;
    container->record.oom_killed = info.oom_killed;
    container->record.finished_at = to_rfc3339_nano(info.finished_at);
    record = container->record;
    restart = wants_restart(*container);
    remove_it = record.host_config.auto_remove && !restart && !keep;
    // Until the record is durable the monitor's exit file says how it ended. A full disk changes nothing: it has ended.
    s_.save_later(record, remove_it ? std::function<void()>() : clearing(container, container->runs));
  }
  s_.networks.release_container(record.id);
  {
    std::lock_guard lock(container->mutex);
    container->process = {};
    endpoints = std::exchange(container->endpoints, {});
    container->ports.clear();
    container->monitor.reset();  // not before: what is up has one
    container->change(Status::exited);
  }
  s_.logs.finish(record.id);
  if (info.oom_killed) s_.publish(record, "oom");
  s_.publish(record, "die", {{"exitCode", std::to_string(info.code)}});
  publish_endpoints(endpoints, "disconnect");
  publish_volumes(record, "unmount");
  if (went_down) went_down(container);
  if (restart) schedule_restart(container);
  answer_waiters(*container, {info.code, std::nullopt}, false);
  if (monitor) monitor->close();
  if (remove_it) s_.remove_runtime_directory(record.id);
  operation.unlock();
  if (remove_it) {
    try {
      remove(container, {.volumes = true, .force = true});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::conflict) log::error("remove container {}: {}", record.id, error.what());
    }
  }
}

// Removes what this run has left in the runtime directory, unless the next has begun. Called from the store's thread.
std::function<void()> Lifecycle::clearing(const ContainerPtr& container, std::uint64_t run) {
  return [this, container, run, alive = std::weak_ptr<bool>(alive_)] {
    if (const auto held = alive.lock()) {
      s_.pool.post([this, container, run] {
        std::lock_guard operation(container->operation);
        {
          std::lock_guard lock(container->mutex);
          if (container->runs != run || container->is_up()) return;
          if (container->status == Status::removing || container->status == Status::dead) return;  // discard() does it
        }
        s_.remove_runtime_directory(container->record.id);
      });
    }
  };
}

bool Lifecycle::wants_restart(const Container& container) const {
  if (container.stop_requested || container.record.stopped_by_user || shutting_down_) return false;
  const RestartPolicy& policy = container.record.host_config.restart_policy;
  if (policy.name == "always" || policy.name == "unless-stopped") return true;
  if (policy.name != "on-failure" || container.record.exit_code == 0) return false;
  return policy.maximum_retry_count == 0 || container.record.restart_count < policy.maximum_retry_count;
}

void Lifecycle::schedule_restart(const ContainerPtr& container) {
  std::lock_guard lock(container->mutex);
  container->change(Status::restarting);
  const auto delay = container->restart_delay;
  container->restart_delay = std::min(container->restart_delay * 2, kMaxRestartDelay);
  s_.pool.post_after(delay, [this, container, run = container->runs] { restart_now(container, run); });
}

void Lifecycle::restart_now(const ContainerPtr& container, std::uint64_t run_number) {
  std::lock_guard operation(container->operation);
  {
    std::lock_guard lock(container->mutex);
    if (container->status != Status::restarting || container->runs != run_number || shutting_down_) return;
    ++container->record.restart_count;
  }
  try {
    run(container);
  } catch (const Error& error) {
    log::error("restart container {}: {}", container->record.id, error.what());
    std::unique_lock lock(container->mutex);
    const bool again = container->status == Status::exited && wants_restart(*container);
    lock.unlock();
    if (again) schedule_restart(container);
  }
}

namespace {

// Since this engine began: of such a run it knows the end.
bool was_up_here(Container& container) {
  const std::lock_guard lock(container.mutex);
  return container.runs > 0;
}

}  // namespace

void Lifecycle::remove(const ContainerPtr& container, const RemoveRequest& request) {
  std::unique_lock operation(container->operation);
  if (!was_up_here(*container)) check_over(*container);
  {
    std::unique_lock lock(container->mutex);
    const Record& record = container->record;
    if (container->status == Status::removing)
      fail(ErrorKind::conflict, "removal of container {} is already in progress", record.id);
    if (!request.force && container->status == Status::paused)
      fail(ErrorKind::conflict,
           "cannot remove container \"/{}\": container is paused and must be unpaused first: unpause it, or force "
           "remove",
           record.name);
    if (!request.force && (container->status == Status::running || container->status == Status::restarting))
      fail(ErrorKind::conflict,
           "You cannot remove a {} container {}. Stop the container before attempting removal or force remove",
           to_string(container->status), record.id);
    if (container->is_up()) {
      container->stop_requested = true;
      container->record.stopped_by_user = true;
      lock.unlock();
      operation.unlock();  // the exit is handled under it
      try {
        kill(container, "SIGKILL");
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::conflict) throw;  // it ended by itself
      }
      operation.lock();
      lock.lock();
    }
    if (container->status == Status::removing) return;  // --rm was faster
    container->change(Status::removing);
    container->record.dead = true;
  }
  discard(container, request.volumes);
}

// Holds `operation`. The record goes first: what is left after a crash has no record and is collected at the next
// start.
void Lifecycle::discard(const ContainerPtr& container, bool volumes) {
  Record record;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
  }
  try {
    s_.documents.erase({"container", record.scope, record.id});
  } catch (...) {
    std::lock_guard lock(container->mutex);
    container->change(Status::dead);
    throw;
  }
  s_.containers.remove(record.id, record.name);
  s_.ids.release(record.id);
  if (removed) removed(container);
  s_.publish(record, "destroy");
  if (volumes) remove_anonymous_volumes(record);
  answer_waiters(*container, {record.exit_code, std::nullopt}, true);
  s_.pool.post([this, record] {
    s_.snapshots->remove(s_.snapshot_of(record.id));
    const std::string prefix = s_.data_root.path() + "/";
    s_.data_root.discard(s_.container_directory(record.id).substr(prefix.size()));
    s_.remove_runtime_directory(record.id);
  });
}

// Those that no other container has taken over (--volumes-from).
void Lifecycle::remove_anonymous_volumes(const Record& record) {
  for (const ResolvedMount& mount : record.mounts) {
    if (!mount.anonymous) continue;
    const auto others = s_.containers.all();
    const bool used = std::any_of(others.begin(), others.end(), [&](const ContainerPtr& other) {
      std::lock_guard lock(other->mutex);
      return std::any_of(other->record.mounts.begin(), other->record.mounts.end(),
                         [&](const ResolvedMount& theirs) { return theirs.point.name == mount.point.name; });
    });
    if (used || !s_.volumes.find(record.scope, mount.point.name)) continue;
    try {
      s_.volumes.remove(record.scope, mount.point.name);
      s_.events.publish("volume", "destroy", mount.point.name, {{"driver", "local"}});
    } catch (const Error& error) {
      log::error("volume {} of container {} stays: {}", mount.point.name, record.id, error.what());
    }
  }
}

}  // namespace bryo::engine

#include "engine/lifecycle.hpp"

#include <csignal>

#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/process_group.hpp"
#include "engine/resources.hpp"
#include "kernel/files.hpp"

namespace bryo::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kDefaultStopTimeout = 10;
constexpr int kCannotRun = 126;  // and 127: the command is to blame
constexpr auto kKillPatience = seconds(10);

monitor::MonitorProgram monitor_program(const Options& options) {
  return options.program_directory.empty() ? monitor::MonitorProgram::beside_this_program()
                                           : monitor::MonitorProgram(options.program_directory + "/bryo-monitor");
}

// What `docker run` prints and turns into 125, 126 or 127.
Error start_error(const Error& error) {
  if (error.exit_code() == 0) return error;
  // A hook of the container's first process: neither the command nor the request is to blame.
  if (error.exit_code() < kCannotRun) return Error(ErrorKind::internal, error.message());
  // Clients tell 126 from 125 by this word.
  const bool denied = error.exit_code() == 126 && error.message().find("permission denied") == std::string::npos;
  return Error(ErrorKind::invalid_argument,
               fmt::format("failed to create task for container: failed to create shim task: OCI "
                           "runtime create failed: unable to start container process: {}{}: unknown",
                           error.message(), denied ? ": permission denied" : ""))
      .with_exit_code(error.exit_code());
}

// Keeps --rm from removing the container between its end and its start.
class RestartUnderWay {
 public:
  explicit RestartUnderWay(Container& container) : container_(container) {
    const std::lock_guard lock(container.mutex);
    ++container.restarts_under_way;
  }
  ~RestartUnderWay() {
    const std::lock_guard lock(container_.mutex);
    --container_.restarts_under_way;
  }
  RestartUnderWay(const RestartUnderWay&) = delete;
  RestartUnderWay& operator=(const RestartUnderWay&) = delete;

 private:
  Container& container_;
};

}  // namespace

Lifecycle::Lifecycle(Services& services)
    : s_(services),
      hub_(std::make_unique<monitor::MonitorHub>(monitor_program(services.options), *this, services.cgroups)),
      launcher_(services, *hub_) {}

Lifecycle::~Lifecycle() {
  alive_.reset();
  try {
    s_.documents.flush();  // nothing of ours is under way after that
  } catch (const Error& error) {
    log::error("at the end: {}", error.what());
  }
}

void Lifecycle::start(const ContainerPtr& container) {
  std::lock_guard operation(container->operation);
  {
    std::lock_guard lock(container->mutex);
    switch (container->status) {
      case Status::paused:
        fail(ErrorKind::conflict, "cannot start a paused container, try unpause instead");
      case Status::running:
        fail(ErrorKind::not_modified, "container {} is running already", container->record.id);
      case Status::removing:
      case Status::dead:
        fail(ErrorKind::conflict, "container is marked for removal and cannot be started");
      case Status::created:
      case Status::exited:
      case Status::restarting:
        break;
    }
    container->record.stopped_by_user = false;
    container->record.restart_count = 0;
    container->restart_delay = milliseconds(100);
  }
  run(container);
}

// A monitor that restore() has found and not reached still has its container. Error{conflict} then.
void Lifecycle::check_over(Container& container) {
  std::string id;
  {
    const std::lock_guard lock(container.mutex);
    id = container.record.id;
  }
  hub_->check_over(id, s_.runtime_directory(id));
}

// Holds `operation`.
void Lifecycle::run(const ContainerPtr& container) {
  check_over(*container);
  try {
    launcher_.launch(*container);
  } catch (const Error& error) {
    start_failed(*container, error);
    throw start_error(error);
  }
  Record record;
  std::vector<network::Endpoint> endpoints;
  {
    std::lock_guard lock(container->mutex);
    endpoints = container->endpoints;
    container->change(Status::running);
    ++container->runs;
    container->stop_requested = false;
    container->up_since = std::chrono::steady_clock::now();
    container->record.error.clear();
    container->record.exit_code = 0;
    container->record.oom_killed = false;
    record = container->record;
  }
  s_.save_later(record);
  publish_endpoints(endpoints, "connect");
  publish_volumes(record, "mount");
  s_.publish(record, "start");
  if (came_up) came_up(container);
}

void Lifecycle::publish_endpoints(const std::vector<network::Endpoint>& endpoints, const std::string& action) {
  for (const auto& endpoint : endpoints)
    s_.events.publish("network", action, endpoint.network_id,
                      {{"container", endpoint.container_id}, {"name", endpoint.network_name}, {"type", "bridge"}});
}

// "mount" tells more than "unmount", as dockerd's do.
void Lifecycle::publish_volumes(const Record& record, const std::string& action) {
  for (const ResolvedMount& mount : record.mounts) {
    if (mount.point.type != "volume") continue;
    Labels attributes = {{"container", record.id}, {"driver", mount.point.driver}};
    if (action == "mount")
      attributes.insert({{"destination", mount.point.destination},
                         {"propagation", mount.point.propagation},
                         {"read/write", mount.point.rw ? "true" : "false"}});
    s_.events.publish("volume", action, mount.point.name, std::move(attributes));
  }
}

void Lifecycle::start_failed(Container& container, const Error& error) {
  std::unique_lock lock(container.mutex);
  container.record.exit_code = error.exit_code() >= kCannotRun ? error.exit_code() : 128;
  container.record.error = error.message();
  const bool again = container.status == Status::restarting;
  if (again) container.change(Status::exited);
  const Record record = container.record;
  lock.unlock();
  s_.save_later(record);
  s_.publish(record, "die", {{"exitCode", std::to_string(record.exit_code)}});
  answer_waiters(container, {record.exit_code, std::nullopt}, false);
  if (record.host_config.auto_remove && !again) {
    s_.pool.post([this, id = record.id] {
      if (const auto found = s_.containers.try_find(id)) remove(found, {.volumes = true, .force = true});
    });
  }
}

void Lifecycle::signal(Container& container, int number) {
  std::shared_ptr<monitor::Monitor> monitor;
  {
    std::lock_guard lock(container.mutex);
    monitor = container.monitor;
  }
  if (!monitor) return;
  try {
    monitor->signal(number);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) throw;  // it is gone: what the caller wanted, or will see
  }
}

bool Lifecycle::wait_down(Container& container, std::uint64_t run, std::optional<milliseconds> patience) {
  std::unique_lock lock(container.mutex);
  const auto down = [&] { return !container.is_up() || container.runs != run; };
  if (patience) return container.changed.wait_for(lock, *patience, down);
  container.changed.wait(lock, down);
  return true;
}

void Lifecycle::stop(const ContainerPtr& container, std::optional<int> timeout, std::string_view signal_name) {
  std::uint64_t run = 0;
  Record record;
  int number = 0;
  {
    std::lock_guard lock(container->mutex);
    const std::string& own = container->record.config.stop_signal;
    number = parse_signal(!signal_name.empty() ? signal_name : !own.empty() ? own : "SIGTERM");
    if (container->status == Status::restarting) {
      container->record.stopped_by_user = true;
      container->change(Status::exited);  // the timer finds another state and does nothing
    } else if (!container->is_up()) {
      fail(ErrorKind::not_modified, "container {} is not running", container->record.id);
    } else {
      container->stop_requested = true;
      container->record.stopped_by_user = true;
      run = container->runs;
    }
    record = container->record;
    s_.save_later(record);
  }
  if (run == 0) {
    answer_waiters(*container, {record.exit_code, std::nullopt}, false);
    return s_.documents.flush();
  }
  const int grace = timeout.value_or(record.config.stop_timeout.value_or(kDefaultStopTimeout));
  s_.publish(record, "kill", {{"signal", std::to_string(number)}});
  signal(*container, number);
  wake_for_signal(container);
  const auto patience = grace < 0 ? std::nullopt : std::optional<milliseconds>(seconds(grace));
  if (!wait_down(*container, run, patience)) {
    s_.publish(record, "kill", {{"signal", std::to_string(SIGKILL)}});
    signal(*container, SIGKILL);
    wake_for_signal(container);
    if (!wait_down(*container, run, milliseconds(kKillPatience)))
      fail(ErrorKind::internal, "cannot stop container: {}: tried to kill container, but did not receive an exit event",
           record.id);
  }
  s_.documents.flush();
  s_.publish(record, "stop");
}

void Lifecycle::restart(const ContainerPtr& container, std::optional<int> timeout, std::string_view signal_name) {
  const RestartUnderWay under_way(*container);
  try {
    stop(container, timeout, signal_name);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_modified) throw;
  }
  try {
    start(container);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_modified) throw;
  }
  s_.publish(*container, "restart");
}

void Lifecycle::kill(const ContainerPtr& container, std::string_view signal_name) {
  const int number = parse_signal(signal_name.empty() ? "SIGKILL" : signal_name);
  Record record;
  std::uint64_t run = 0;
  const auto is_up = [&] {
    std::lock_guard lock(container->mutex);
    return container->is_up();
  };
  // A client that attached may have read the process's first output before its start has come to an end here, and
  // forwards a signal to it.
  if (!is_up()) std::lock_guard until_started(container->operation);
  {
    std::lock_guard lock(container->mutex);
    if (!container->is_up())
      fail(ErrorKind::conflict, "Cannot kill container: {}: Container {} is not running", container->record.name,
           container->record.id);
    record = container->record;
    run = container->runs;
    if (number == SIGKILL) {
      container->stop_requested = true;
      container->record.stopped_by_user = true;
    }
  }
  s_.publish(record, "kill", {{"signal", std::to_string(number)}});
  signal(*container, number);
  if (number != SIGKILL) return;
  wake_for_signal(container);
  if (!wait_down(*container, run, milliseconds(kKillPatience)))
    log::warning("container {}: killed, but its end was not seen within {} s", record.id, kKillPatience.count());
}

// What is frozen takes no signal; where SIGKILL ends it all the same (cgroup v2), it may be gone by now.
void Lifecycle::wake_for_signal(const ContainerPtr& container) {
  {
    std::lock_guard lock(container->mutex);
    if (container->status != Status::paused) return;
  }
  try {
    unpause(container);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::conflict) throw;
  }
}

void Lifecycle::pause(const ContainerPtr& container) {
  std::lock_guard operation(container->operation);
  std::optional<ProcessGroup> group;
  Record record;
  {
    std::lock_guard lock(container->mutex);
    if (container->status == Status::paused)
      fail(ErrorKind::conflict, "Container {} is already paused", container->record.id);
    if (container->status != Status::running)
      fail(ErrorKind::conflict, "Container {} is not running", container->record.id);
    group.emplace(s_, *container);
    record = container->record;
  }
  group->freeze();
  {
    std::lock_guard lock(container->mutex);
    if (container->status == Status::running) container->change(Status::paused);
  }
  s_.publish(record, "pause");
}

void Lifecycle::unpause(const ContainerPtr& container) {
  std::optional<ProcessGroup> group;
  Record record;
  {
    std::lock_guard lock(container->mutex);
    if (container->status != Status::paused)
      fail(ErrorKind::conflict, "Container {} is not paused", container->record.id);
    group.emplace(s_, *container);
    record = container->record;
  }
  group->thaw();
  {
    std::lock_guard lock(container->mutex);
    if (container->status == Status::paused) container->change(Status::running);
  }
  s_.publish(record, "unpause");
}

}  // namespace bryo::engine

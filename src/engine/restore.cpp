// After a restart of bryod, whatever ended the one before: find the monitors, settle what ended meanwhile, collect what
// has no record.
#include <chrono>
#include <future>
#include <set>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/lifecycle.hpp"
#include "engine/ports.hpp"
#include "engine/process_group.hpp"
#include "engine/resources.hpp"
#include "kernel/files.hpp"

namespace bryo::engine {
namespace {

constexpr int kLostExitCode = 255;  // as Docker, when nobody saw the end
constexpr auto kStopPatience = std::chrono::seconds(10);
constexpr auto kStopPause = std::chrono::milliseconds(2);

// A container of another map that still runs.
struct Stray {
  Record record;
  std::shared_ptr<monitor::Monitor> monitor;

  void send(std::string_view name) const {
    try {
      monitor->signal(parse_signal(name));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found) log::warning("container {}: {}", record.id, error.what());
    }
  }

  // SIGKILL from the deadline on.
  monitor::ExitInfo wait_for_end(std::chrono::steady_clock::time_point deadline) const {
    for (bool killed = false;;) {
      if (const auto exit = monitor->status().exit) return *exit;
      const auto late = std::chrono::steady_clock::now() - deadline;
      if (late > kStopPatience)
        fail(ErrorKind::internal, "it does not end, not even by SIGKILL: is a process of it stuck in the kernel?");
      if (late > std::chrono::seconds(0) && !std::exchange(killed, true)) send("SIGKILL");
      std::this_thread::sleep_for(kStopPause);
    }
  }
};

// A kill came between a port's addition and its being remembered.
void close_forgotten_ports(monitor::Monitor& monitor, const std::vector<network::PublishedPort>& remembered) {
  try {
    monitor.keep_ports(names_of(remembered));
  } catch (const Error& error) {
    log::debug("container {}: its monitor is of an older engine: {}", monitor.container_id(), error.message());
  }
}

}  // namespace

void Lifecycle::restore() {
  stop_other_scopes();
  std::vector<network::RunningContainer> running;
  std::vector<ContainerPtr> to_start;
  for (const auto& document : s_.documents.list("container", s_.ids.scope())) {
    ContainerPtr container;
    try {
      container = std::make_shared<Container>(json::decode<Record>(json::parse(document.text)));
    } catch (const Error& error) {
      log::error("container {}: its record cannot be read and is left alone: {}", document.key.id, error.what());
      continue;
    }
    if (!container->record.started_at.empty()) container->status = Status::exited;
    s_.containers.add(container);
    try {
      adopt(container, running);
    } catch (const Error& error) {
      log::error("container {}: cannot find out whether it runs, and leaves it alone: {}", container->record.id,
                 error.what());
      continue;  // perhaps it does: a second run beside the first would ruin both
    }
    if (container->is_up()) continue;
    const auto& policy = container->record.host_config.restart_policy.name;
    const bool wanted =
        policy == "always" || (policy == "unless-stopped" && !container->record.stopped_by_user) ||
        (policy == "on-failure" && container->record.exit_code != 0 && !container->record.stopped_by_user);
    if (wanted && !container->record.started_at.empty())
      to_start.push_back(container);
    else if (container->record.host_config.auto_remove && !container->record.started_at.empty())
      s_.pool.post([this, container] { remove(container, {.volumes = true, .force = true}); });
  }
  s_.networks.restore(std::move(running));
  remove_leftovers();
  settle_bundles();
  for (const ContainerPtr& container : s_.containers.all())
    if (container->is_up() && came_up) came_up(container);
  for (const ContainerPtr& container : to_start) {
    s_.pool.post([this, container] {
      try {
        start(container);
      } catch (const Error& error) {
        log::error("start container {} by its restart policy: {}", container->record.id, error.what());
      }
    });
  }
}

// Containers that still run below another map: this engine shows them nowhere, and they hold addresses and ports. They
// are stopped as their users would stop them, and their own engine finds the exit codes.
void Lifecycle::stop_other_scopes() {
  std::vector<Stray> strays;
  for (const auto& document : s_.documents.list("container")) {
    if (document.key.scope == s_.ids.scope()) continue;
    const std::string directory = s_.runtime_directory(document.key.id);
    if (!kernel::try_stat_at(AT_FDCWD, directory)) continue;
    try {
      auto monitor = hub_->reconnect(document.key.id, directory);
      if (!monitor || !monitor->status().started || monitor->status().exit) continue;
      strays.push_back({json::decode<Record>(json::parse(document.text)), std::move(monitor)});
    } catch (const Error& error) {
      log::warning("container {} of another map: {}", document.key.id, error.what());
    }
  }
  if (strays.empty()) return;
  log::warning("stopping {} containers that run below another map of this data root", strays.size());
  for (const Stray& stray : strays) {
    const std::string& own = stray.record.config.stop_signal;
    stray.send(own.empty() ? "SIGTERM" : std::string_view(own));
  }
  const auto deadline = std::chrono::steady_clock::now() + kStopPatience;
  for (Stray& stray : strays) {
    try {
      const auto exit = stray.wait_for_end(deadline);
      stray.record.exit_code = exit.code;
      stray.record.finished_at = to_rfc3339_nano(exit.finished_at);
      s_.save(stray.record);
      stray.monitor->close();
      s_.remove_runtime_directory(stray.record.id);
    } catch (const Error& error) {
      log::error("stop container {} of another map: {}", stray.record.id, error.what());
    }
  }
}

// The record may be older than the last start: what was written beside the monitor's socket is not.
void Lifecycle::recall_start(Container& container, const std::string& directory) {
  try {
    const auto started_at = recall_network(directory).started_at;
    if (!started_at.empty()) container.record.started_at = started_at;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found)
      log::warning("container {}: its last start is not remembered: {}", container.record.id, error.what());
  }
}

// Of a run whose monitor is gone without a word.
void Lifecycle::kill_remains(const Record& record, const std::string& directory) {
  NetworkMemory memory;
  try {
    memory = recall_network(directory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found)
      log::warning("container {}: its last run is not remembered: {}", record.id, error.what());
  }
  ProcessGroup(s_, launcher_.cgroup_name(record, memory)).kill_all();
}

void Lifecycle::adopt(const ContainerPtr& container, std::vector<network::RunningContainer>& running) {
  const std::string directory = s_.runtime_directory(container->record.id);
  if (!kernel::try_stat_at(AT_FDCWD, directory)) return;
  recall_start(*container, directory);
  auto monitor = hub_->reconnect(container->record.id, directory);
  std::optional<monitor::ExitInfo> exit;
  if (monitor) {
    const auto status = monitor->status();
    if (status.started && !status.exit) {
      NetworkMemory memory;
      try {
        memory = recall_network(directory);
        close_forgotten_ports(*monitor, memory.ports);
      } catch (const Error& error) {
        log::warning("container {}: its network is not remembered: {}", container->record.id, error.what());
      }
      network::RunningContainer entry;
      entry.container_id = container->record.id;
      entry.endpoints = memory.endpoints;
      entry.ports = memory.ports;
      if (!memory.endpoints.empty())
        entry.netns = kernel::open_trusted(fmt::format("/proc/{}/ns/net", status.process.pid), O_RDONLY);
      entry.dns = launcher_.dns_of(container->record);
      running.push_back(std::move(entry));
      std::lock_guard lock(container->mutex);
      container->monitor = monitor;
      container->process = status.process;
      container->endpoints = std::move(memory.endpoints);
      container->ports = std::move(memory.ports);
      container->bypass = memory.bypass;
      container->cgroup = launcher_.cgroup_name(container->record, memory);
      container->status = ProcessGroup(s_, *container).frozen() ? Status::paused : Status::running;
      container->up_since = std::chrono::steady_clock::now();
      ++container->runs;
      return;
    }
    exit = status.exit;
    monitor->close();
    if (!status.started) exit.reset();  // it never ran: killed by close()
    if (!status.started) {
      s_.remove_runtime_directory(container->record.id);
      return;
    }
  }
  if (!exit) exit = monitor::MonitorHub::read_exit(directory);
  Record record;
  {
    std::lock_guard lock(container->mutex);
    container->record.exit_code = exit ? exit->code : kLostExitCode;
    container->record.oom_killed = exit && exit->oom_killed;
    container->record.finished_at = to_rfc3339_nano(exit ? exit->finished_at : wall_now());
    if (container->record.started_at.empty()) container->record.started_at = container->record.finished_at;
    container->status = Status::exited;
    record = container->record;
  }
  s_.save(record);
  if (!exit) kill_remains(record, directory);
  s_.remove_runtime_directory(record.id);
}

// Snapshots, directories and monitors that no record speaks of: a crash came between two steps.
void Lifecycle::remove_leftovers() {
  for (const auto& snapshot : s_.snapshots->list()) {
    if (snapshot.name.scope != s_.ids.scope() || s_.containers.try_find(snapshot.name.id)) continue;
    log::info("removing file system of unfinished container {}", snapshot.name.id);
    s_.snapshots->remove(snapshot.name);
  }
  const auto names_in = [](const std::string& path) {
    return kernel::read_directory(kernel::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY).get());
  };
  const std::string prefix = s_.data_root.path() + "/";
  for (const auto& entry : names_in(s_.containers_directory))
    if (!s_.containers.try_find(entry.name))
      s_.data_root.discard(s_.container_directory(entry.name).substr(prefix.size()));
  // Monitors of another scope (another map of the same data root) are not ours to end.
  std::set<std::string> known;
  for (const auto& document : s_.documents.list("container")) known.insert(document.key.id);
  for (const auto& entry : names_in(s_.runtime_root)) {
    if (known.contains(entry.name)) continue;
    const std::string directory = s_.runtime_root + "/" + entry.name;
    try {
      if (auto monitor = hub_->reconnect(entry.name, directory)) monitor->close();
      s_.remove_runtime_directory(entry.name);
    } catch (const Error& error) {
      log::error("container {}, which has no record any more: {}", entry.name, error.what());
    }
  }
}

// Of containers whose monitors were killed while nobody looked. One that is at work has locked its own.
void Lifecycle::settle_bundles() {
  for (const std::string& id : s_.bundles.list())
    if (!s_.bundles.settle(id)) log::debug("container {}: its monitor has its hooks", id);
}

void Lifecycle::stop_all() {
  std::vector<std::shared_ptr<std::promise<void>>> promises;
  for (const ContainerPtr& container : s_.containers.all()) {
    if (!container->is_up()) continue;
    auto promise = std::make_shared<std::promise<void>>();
    promises.push_back(promise);
    s_.pool.post([this, container, promise] {
      try {
        stop(container, s_.options.shutdown_timeout, "");
        std::lock_guard lock(container->mutex);
        container->record.stopped_by_user = false;  // the engine stopped it, not the user: `always` starts it again
        s_.save(container->record);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_modified) log::error("stop container: {}", error.what());
      }
      promise->set_value();
    });
  }
  for (const auto& promise : promises) promise->get_future().wait();
}

}  // namespace bryo::engine

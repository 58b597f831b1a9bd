#include "monitor/hub_loop.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "kernel/cgroup_moves.hpp"
#include "kernel/spawn_settings.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {
namespace {

constexpr std::chrono::seconds kGonePatience{15};

// A session of its own (Ctrl-C for bryod is not for containers), and nothing of bryod's streams.
pid_t spawn_monitor(const std::string& program, int control, std::vector<char*> arguments) {
  kernel::SpawnSettings settings(kernel::SpawnSettings::Place::own_session);
  settings.give_null().give(control, kControlDescriptor);
  arguments.push_back(nullptr);
  // malloc(3) hoards freed pieces for each thread, which malloc_trim(3) cannot give back: of what a monitor needs to
  // start a container, half would stay. Tunables are read from the environment only, before main.
  static char tunables[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0";
  char* environment[] = {tunables, nullptr};
  return settings.spawn(program, arguments.data(), environment, "start bryo-monitor");
}

}  // namespace

MonitorHub::Loop::Loop(MonitorProgram program, MonitorListener& listener, kernel::CgroupLayout cgroups)
    : program_(std::move(program)),
      cgroups_(std::move(cgroups)),
      listener_(listener),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_ || !wake_) fail_errno("make the monitor hub's epoll");
  add_watch(wake_.get(), 0);
  thread_ = std::thread([this] { run(); });
  ::pthread_setname_np(thread_.native_handle(), "monitor-hub");
}

MonitorHub::Loop::~Loop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one));
  thread_.join();
  // Whoever still waits for an answer hears that there will be none; the monitors go on.
  for (const auto& [key, connection] : connections_) {
    connection->silence();
    connection->ended(listener_);
  }
}

void MonitorHub::Loop::start_program(std::string name, std::string container_id, UniqueFd control) {
  // The descriptor itself is gone in the new program (close-on-exec), its file is what runs.
  const pid_t pid = spawn_monitor(fmt::format("/proc/self/fd/{}", program_.descriptor()), control.get(),
                                  {name.data(), container_id.data()});
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) fail_errno("pidfd_open of the monitor {}", pid);
  const std::lock_guard lock(mutex_);
  const Key key = next_key_++;
  add_watch(process.get(), key);
  processes_.emplace(key, std::move(process));
}

void MonitorHub::Loop::watch(const std::shared_ptr<MonitorConnection>& connection) {
  const std::lock_guard lock(mutex_);
  const Key key = next_key_++;
  connections_.emplace(key, connection);
  add_watch(connection->descriptor(), key);
}

void MonitorHub::Loop::wait_until_gone(const std::string& container_id) {
  std::unique_lock lock(mutex_);
  const bool gone = gone_.wait_for(lock, kGonePatience, [&] {
    return std::none_of(connections_.begin(), connections_.end(),
                        [&](const auto& item) { return item.second->container_id() == container_id; });
  });
  if (!gone)
    fail(ErrorKind::unavailable, "the last run of container {} has not been cleared away: is a process stuck?",
         container_id);
}

void MonitorHub::Loop::add_watch(int fd, Key key) const {
  epoll_event event{EPOLLIN, {.u64 = key}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl in the monitor hub");
}

void MonitorHub::Loop::run() {
  // Here and not in the constructor: bryod's start does not wait for it.
  const kernel::FastCgroupMoves fast_moves(cgroups_);
  epoll_event events[64];
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events, 64, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == 0) return;
      on_event(events[i].data.u64);
    }
  }
}

void MonitorHub::Loop::on_event(Key key) {
  std::shared_ptr<MonitorConnection> connection;
  {
    const std::lock_guard lock(mutex_);
    if (const auto process = processes_.find(key); process != processes_.end()) {
      siginfo_t info{};
      ::waitid(P_PIDFD, static_cast<id_t>(process->second.get()), &info, WEXITED);
      // Closing alone is not enough: a child between vfork and exec holds a copy, and epoll would go on telling.
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, process->second.get(), nullptr);
      processes_.erase(process);
      return;
    }
    const auto found = connections_.find(key);
    if (found == connections_.end()) return;
    connection = found->second;
  }
  if (connection->receive(listener_)) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection->descriptor(), nullptr);
  connection->ended(listener_);
  const std::lock_guard lock(mutex_);
  connections_.erase(key);
  gone_.notify_all();
}

}  // namespace bryo::monitor

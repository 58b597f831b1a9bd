// The hub's thread: reads all control connections, reaps monitors that have left. Private to hub.cpp.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/unique_fd.hpp"
#include "kernel/cgroups.hpp"
#include "monitor/connection.hpp"
#include "monitor/hub.hpp"

namespace bryo::monitor {

class MonitorHub::Loop {
 public:
  Loop(MonitorProgram program, MonitorListener& listener, kernel::CgroupLayout cgroups);
  ~Loop();

  // Starts the program with `control` as its connection.
  void start_program(const std::string& container_id, UniqueFd control);
  void watch(const std::shared_ptr<MonitorConnection>& connection);
  // Until no monitor of this container is connected: then its cgroups are gone too. Error{unavailable} after a while.
  void wait_until_gone(const std::string& container_id);
  const kernel::CgroupLayout& cgroups() const { return cgroups_; }

 private:
  // What an epoll event is about: a connection, a monitor's pidfd, or (0) the wake-up for stopping.
  using Key = std::uint64_t;

  void run();
  void on_event(Key key);
  void add_watch(int fd, Key key) const;

  const MonitorProgram program_;
  const kernel::CgroupLayout cgroups_;
  MonitorListener& listener_;
  const UniqueFd epoll_;
  const UniqueFd wake_;

  std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable gone_;
  Key next_key_ = 1;
  std::map<Key, std::shared_ptr<MonitorConnection>> connections_;
  std::map<Key, UniqueFd> processes_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace bryo::monitor

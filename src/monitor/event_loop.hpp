// The one thread of bryo-monitor: epoll, timers, and who is called when. Descriptors stay their owners'; whoever adds
// one removes it before closing it. Handlers may add and remove anything, themselves too, while they are called.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::monitor {

class EventHandler {
 public:
  // `events`: EPOLLIN …, never 0.
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  ~EventHandler() = default;
};

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  EventLoop();

  void add(int fd, std::uint32_t events, EventHandler& handler);
  void change(int fd, std::uint32_t events, EventHandler& handler);
  void remove(int fd, EventHandler& handler);

  // `action` is called when nothing has happened for `quiet` after something had.
  void when_quiet(std::chrono::milliseconds quiet, std::function<void()> action);

  // Until stop(). An Error that a handler throws ends it.
  void run();
  void stop() { running_ = false; }

 private:
  friend class Timer;
  void run_timers();
  int wait_milliseconds() const;
  void rest();

  UniqueFd epoll_;
  bool running_ = false;
  bool restless_ = false;  // something has happened since the last rest
  std::chrono::milliseconds quiet_{0};
  std::function<void()> on_quiet_;
  std::array<epoll_event, 64> ready_{};
  int ready_count_ = 0;
  std::vector<class Timer*> timers_;  // armed ones
};

// Calls once, some time after it was armed. Disarmed by its destructor.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> action) : loop_(loop), action_(std::move(action)) {}
  ~Timer() { disarm(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void arm(std::chrono::milliseconds delay);
  void disarm();
  bool armed() const { return armed_; }

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::function<void()> action_;
  EventLoop::Clock::time_point due_{};
  bool armed_ = false;
};

}  // namespace bryo::monitor

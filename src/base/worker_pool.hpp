// Threads for blocking work: grows with the work up to a bound, shrinks when idle. Thread-safe.
//
// Tasks may block (a pull takes minutes), so the bound is generous; tasks above it wait in line. A task that throws is
// a bug of its author: the error is logged and the thread goes on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

namespace bryo {

class WorkerPool {
 public:
  static constexpr std::chrono::milliseconds kIdleTime{1000};  // then a thread without work ends

  using Task = std::function<void()>;
  using Clock = std::chrono::steady_clock;

  explicit WorkerPool(std::size_t max_threads, std::chrono::milliseconds idle_time = kIdleTime);
  // Runs no further task, waits for those that run. The destructor does it, too.
  void stop();
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void post(Task task);
  // At the earliest after `delay`; one timer thread serves all.
  void post_after(std::chrono::nanoseconds delay, Task task);

 private:
  struct Timed {
    Clock::time_point at;
    Task task;
    bool operator<(const Timed& other) const { return at > other.at; }  // earliest on top
  };

  void work();
  void run_timers();

  const std::size_t max_threads_;
  const std::chrono::milliseconds idle_time_;
  std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable thread_left_;
  std::condition_variable timer_ready_;
  std::deque<Task> tasks_;
  std::priority_queue<Timed> timers_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::thread timer_thread_;
};

}  // namespace bryo

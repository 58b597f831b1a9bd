#include "base/worker_pool.hpp"

#include <exception>
#include <system_error>

#include "base/log.hpp"

namespace bryo {
namespace {

constexpr std::chrono::milliseconds kRetry{100};

}  // namespace

WorkerPool::WorkerPool(std::size_t max_threads, std::chrono::milliseconds idle_time)
    : max_threads_(max_threads), idle_time_(idle_time) {}

void WorkerPool::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  work_ready_.notify_all();
  timer_ready_.notify_all();
  thread_left_.wait(lock, [&] { return threads_ == 0; });
  lock.unlock();
  if (timer_thread_.joinable()) timer_thread_.join();
}

void WorkerPool::post(Task task) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  tasks_.push_back(std::move(task));
  if (idle_ >= tasks_.size() || threads_ == max_threads_) {
    work_ready_.notify_one();
    return;
  }
  try {
    std::thread([this] { work(); }).detach();
    ++threads_;
  } catch (const std::system_error& error) {
    log::error("no thread for a background task, which waits for the next that is free: {}", error.what());
    work_ready_.notify_one();
    if (threads_ > 0) return;
    // There is none: it is tried again, by the next post() or soon.
    timers_.push({Clock::now() + kRetry, [] {}});
    timer_ready_.notify_one();
  }
}

void WorkerPool::post_after(std::chrono::nanoseconds delay, Task task) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  timers_.push({Clock::now() + delay, std::move(task)});
  if (!timer_thread_.joinable()) timer_thread_ = std::thread([this] { run_timers(); });
  timer_ready_.notify_one();
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    const bool woken = work_ready_.wait_for(lock, idle_time_, [&] { return stopping_ || !tasks_.empty(); });
    --idle_;
    if (stopping_ || (!woken && tasks_.empty())) break;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    try {
      task();
    } catch (const std::exception& error) {
      log::error("background task failed: {}", error.what());
    }
    task = nullptr;  // what it captured is freed outside the lock
    lock.lock();
  }
  --threads_;
  // Notified under the lock: the destructor may free this object as soon as it is released.
  thread_left_.notify_all();
}

void WorkerPool::run_timers() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (timers_.empty()) {
      timer_ready_.wait(lock);
      continue;
    }
    const auto due = timers_.top().at;
    if (Clock::now() < due) {
      timer_ready_.wait_until(lock, due);
      continue;
    }
    Task task = timers_.top().task;
    timers_.pop();
    lock.unlock();
    post(std::move(task));
    lock.lock();
  }
}

}  // namespace bryo

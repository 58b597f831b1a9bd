#include "api/body_streams.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace bryo::api {

std::size_t BodyInlet::read(std::span<std::byte> into) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return taken_ < queue_.size() || finished_ || reason_; });
  if (taken_ == queue_.size()) {
    if (reason_) std::rethrow_exception(reason_);
    return 0;
  }
  const std::size_t count = std::min(into.size(), queue_.size() - taken_);
  std::memcpy(into.data(), queue_.data() + taken_, count);
  taken_ += count;
  if (taken_ < queue_.size()) return count;
  const bool was_full = queue_.size() >= kCapacity;
  queue_.clear();
  taken_ = 0;
  lock.unlock();
  if (was_full) wake_();
  return count;
}

void BodyInlet::push(std::string_view bytes) {
  std::lock_guard lock(mutex_);
  queue_.append(bytes);
  changed_.notify_one();
}

bool BodyInlet::full() {
  std::lock_guard lock(mutex_);
  return queue_.size() >= kCapacity;
}

void BodyInlet::finish() {
  std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_one();
}

void BodyInlet::fail(std::exception_ptr reason) {
  std::lock_guard lock(mutex_);
  if (!finished_ && !reason_) reason_ = std::move(reason);
  changed_.notify_one();
}

void BodyOutlet::write(std::span<const std::byte> bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.size() < kCapacity || abandoned_; });
  if (abandoned_) throw Error(ErrorKind::cancelled, "the client closed the connection");
  if (bytes.empty()) return;
  start_locked();
  const bool was_empty = queue_.empty();
  queue_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  lock.unlock();
  if (was_empty) wake_();
}

void BodyOutlet::start() {
  {
    std::lock_guard lock(mutex_);
    start_locked();
  }
  wake_();
}

void BodyOutlet::start_locked() {
  if (state_ == State::waiting) state_ = State::started;
}

bool BodyOutlet::gone() const {
  std::lock_guard lock(mutex_);
  return abandoned_;
}

bool BodyOutlet::backlogged() const {
  std::lock_guard lock(mutex_);
  return queue_.size() > kCapacity / 8;
}

bool BodyOutlet::started() const {
  std::lock_guard lock(mutex_);
  return state_ != State::waiting;
}

void BodyOutlet::finish(State how) {
  std::lock_guard lock(mutex_);
  state_ = how;
}

BodyOutlet::State BodyOutlet::take(std::string& out) {
  std::lock_guard lock(mutex_);
  out.clear();
  out.swap(queue_);
  changed_.notify_one();
  return state_;
}

void BodyOutlet::abandon() {
  std::lock_guard lock(mutex_);
  abandoned_ = true;
  queue_.clear();
  changed_.notify_all();
}

}  // namespace bryo::api

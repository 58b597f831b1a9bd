#include "monitor/event_loop.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace bryo::monitor {

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) fail_errno("epoll_create1");
}

void EventLoop::add(int fd, std::uint32_t events, EventHandler& handler) {
  epoll_event event{events, {.ptr = &handler}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl: add descriptor {}", fd);
}

void EventLoop::change(int fd, std::uint32_t events, EventHandler& handler) {
  epoll_event event{events, {.ptr = &handler}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) < 0) fail_errno("epoll_ctl: change descriptor {}", fd);
}

void EventLoop::remove(int fd, EventHandler& handler) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  // Events of this round that were not delivered yet must not reach an object that may be gone by then.
  for (int i = 0; i < ready_count_; ++i)
    if (ready_[static_cast<std::size_t>(i)].data.ptr == &handler)
      ready_[static_cast<std::size_t>(i)].data.ptr = nullptr;
}

void EventLoop::when_quiet(std::chrono::milliseconds quiet, std::function<void()> action) {
  quiet_ = quiet;
  on_quiet_ = std::move(action);
  restless_ = true;
}

void EventLoop::run() {
  running_ = true;
  while (running_) {
    ready_count_ = ::epoll_wait(epoll_.get(), ready_.data(), static_cast<int>(ready_.size()), wait_milliseconds());
    if (ready_count_ < 0 && errno != EINTR) fail_errno("epoll_wait");
    for (int i = 0; i < ready_count_; ++i) {
      const auto& event = ready_[static_cast<std::size_t>(i)];
      if (event.data.ptr != nullptr) static_cast<EventHandler*>(event.data.ptr)->on_events(event.events);
    }
    if (ready_count_ == 0) rest();
    restless_ = restless_ || ready_count_ > 0;
    ready_count_ = 0;
    run_timers();
  }
}

// A wait has passed without an event: at least the quiet time, or a timer was due before (then another wait follows).
void EventLoop::rest() {
  if (!restless_ || !on_quiet_ || (!timers_.empty() && wait_milliseconds() == 0)) return;
  restless_ = false;
  on_quiet_();
}

void EventLoop::run_timers() {
  if (timers_.empty()) return;
  const auto now = Clock::now();
  // An action may arm and disarm others: look again from the start after each.
  for (std::size_t i = 0; i < timers_.size();) {
    Timer* timer = timers_[i];
    if (timer->due_ > now) {
      ++i;
      continue;
    }
    timer->disarm();
    timer->action_();
    i = 0;
  }
}

int EventLoop::wait_milliseconds() const {
  const bool rest_due = restless_ && on_quiet_;
  if (timers_.empty()) return rest_due ? static_cast<int>(quiet_.count()) : -1;
  auto next = timers_.front()->due_;
  for (const Timer* timer : timers_) next = std::min(next, timer->due_);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, rest_due ? quiet_.count() : 60'000));
}

void Timer::arm(std::chrono::milliseconds delay) {
  due_ = EventLoop::Clock::now() + delay;
  if (!armed_) loop_.timers_.push_back(this);
  armed_ = true;
}

void Timer::disarm() {
  if (armed_) std::erase(loop_.timers_, this);
  armed_ = false;
}

}  // namespace bryo::monitor

#include "network/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>

#include "base/error.hpp"
#include "base/log.hpp"

namespace bryo::network {
namespace {

constexpr EventLoop::Token kWakeToken = 0;

}  // namespace

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_ || !wake_) fail_errno("make an event loop");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeToken;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) fail_errno("epoll_ctl");
  thread_ = std::thread([this] { run(); });
}

void EventLoop::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
  watches_.clear();
}

void EventLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  ::eventfd_write(wake_.get(), 1);
}

EventLoop::Token EventLoop::watch(UniqueFd fd, std::uint32_t events, Handler handler) {
  const Token token = next_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) fail_errno("epoll_ctl");
  auto added = std::make_shared<Watch>();
  added->fd = std::move(fd);
  added->handler = std::move(handler);
  watches_.emplace(token, std::move(added));
  return token;
}

void EventLoop::change_events(Token token, std::uint32_t events) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second->fd.get(), &event) != 0) fail_errno("epoll_ctl");
}

void EventLoop::set_deadline(Token token, Clock::time_point when) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  deadlines_.erase({found->second->deadline, token});
  found->second->deadline = when;
  if (when != Clock::time_point::max()) deadlines_.insert({when, token});
}

int EventLoop::descriptor(Token token) const {
  const auto found = watches_.find(token);
  return found == watches_.end() ? -1 : found->second->fd.get();
}

void EventLoop::close(Token token) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;
  deadlines_.erase({found->second->deadline, token});
  found->second->fd.reset();  // also takes it out of the epoll set
  watches_.erase(found);
}

int EventLoop::timeout() const {
  if (deadlines_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first - Clock::now()).count();
  return static_cast<int>(std::max<decltype(left)>(left, 0));
}

void EventLoop::dispatch(Token token, std::uint32_t events) {
  const auto found = watches_.find(token);
  if (found == watches_.end()) return;  // closed by an earlier event of the same round
  const std::shared_ptr<Watch> kept = found->second;
  try {
    kept->handler(events);
  } catch (const std::exception& error) {
    log::debug("network event: {}", error.what());
    close(token);
  }
}

void EventLoop::expire() {
  const Clock::time_point now = Clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Token token = deadlines_.begin()->second;
    set_deadline(token, Clock::time_point::max());
    dispatch(token, 0);
  }
}

void EventLoop::run_posted() {
  eventfd_t count = 0;
  ::eventfd_read(wake_.get(), &count);
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& one : work) {
    try {
      one();
    } catch (const std::exception& error) {
      log::error("network event loop: {}", error.what());
    }
  }
}

void EventLoop::run() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout());
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kWakeToken)
        run_posted();
      else
        dispatch(event.data.u64, event.events);
    }
    expire();
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
}

}  // namespace bryo::network

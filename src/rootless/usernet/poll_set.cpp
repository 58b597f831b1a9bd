#include "rootless/usernet/poll_set.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"

namespace bryo::rootless::usernet {
namespace {

// EPOLLET and the like take no part in comparisons: every bit that we register is one that poll(2) knows.
bool control(int epoll, int operation, int fd, std::uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace

PollSet::PollSet() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) fail_errno("make an epoll set");
}

PollSet::Entry& PollSet::entry(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) entries_.resize(index + 16);
  return entries_[index];
}

void PollSet::want(int fd, std::uint32_t events) {
  Entry& mine = entry(fd);
  mine.round = round_;
  if (!mine.listed) {
    mine.listed = true;
    wanted_.push_back(fd);
  }
  if (mine.registered == events) return;
  const int operation = mine.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (!control(epoll_.get(), operation, fd, events)) fail_errno("epoll_ctl");
  mine.registered = events;
}

void PollSet::drop_unwanted() {
  std::size_t kept = 0;
  for (const int fd : wanted_) {
    Entry& mine = entry(fd);
    if (mine.round == round_) {
      wanted_[kept++] = fd;
      continue;
    }
    mine.listed = false;
    if (mine.registered != 0) control(epoll_.get(), EPOLL_CTL_DEL, fd, 0);
    mine.registered = 0;
  }
  wanted_.resize(kept);
}

void PollSet::wait(int milliseconds) {
  for (const int fd : woken_) entry(fd).seen = 0;
  woken_.clear();
  drop_unwanted();
  std::array<epoll_event, 128> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
  if (count < 0 && errno != EINTR) fail_errno("epoll_wait");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    entry(event.data.fd).seen = event.events;
    woken_.push_back(event.data.fd);
  }
}

std::uint32_t PollSet::seen(int fd) const {
  const auto index = static_cast<std::size_t>(fd);
  return index < entries_.size() ? entries_[index].seen : 0;
}

void PollSet::forget(int fd) {
  Entry& mine = entry(fd);
  if (mine.registered != 0) control(epoll_.get(), EPOLL_CTL_DEL, fd, 0);
  mine.registered = 0;
  mine.seen = 0;
}

}  // namespace bryo::rootless::usernet

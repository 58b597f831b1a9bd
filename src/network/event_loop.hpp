// One thread that watches descriptors: readiness, deadlines, and work posted by other threads. Handlers run on that
// thread only, one at a time, so what they share needs no lock. They must not block; what they throw is logged and ends
// their watch.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::network {

class EventLoop {
 public:
  using Token = std::uint64_t;
  using Clock = std::chrono::steady_clock;
  // `events` of epoll(7); 0 means that the deadline has passed.
  using Handler = std::function<void(std::uint32_t events)>;

  EventLoop();
  ~EventLoop() { stop(); }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Ends the thread and closes every descriptor. For owners whose handlers use members that are destroyed before the
  // loop.
  void stop();
  // From any thread. Work posted later runs later.
  void post(std::function<void()> work);

  // From handlers and posted work only:
  Token watch(UniqueFd fd, std::uint32_t events, Handler handler);
  void change_events(Token token, std::uint32_t events);
  void set_deadline(Token token, Clock::time_point when);
  int descriptor(Token token) const;
  // Closes the descriptor and forgets the handler; unknown tokens are ignored. Allowed inside the handler itself.
  void close(Token token);
  std::size_t watched() const { return watches_.size(); }

 private:
  struct Watch {
    UniqueFd fd;
    Handler handler;
    Clock::time_point deadline = Clock::time_point::max();
  };
  void run();
  void run_posted();
  void dispatch(Token token, std::uint32_t events);
  void expire();
  int timeout() const;

  UniqueFd epoll_;
  UniqueFd wake_;
  std::map<Token, std::shared_ptr<Watch>> watches_;
  std::set<std::pair<Clock::time_point, Token>> deadlines_;
  Token next_ = 1;
  std::mutex mutex_;  // guards posted_ and stopping_
  std::vector<std::function<void()>> posted_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bryo::network

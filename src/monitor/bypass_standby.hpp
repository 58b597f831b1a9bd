// Stands by while the helper of a container's bypass works (bypass/link.hpp): holds a copy of every listener, so that a
// held call finds an answer when the helper is killed. Then it settles what the helper has left, lets every call
// through (it goes the way it goes without a bypass), and says that another helper is wanted: at once, and when helpers
// do not live long or nobody starts one, again after a growing while.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <optional>

#include "base/unique_fd.hpp"
#include "bypass/journal.hpp"
#include "kernel/seccomp_notify.hpp"
#include "monitor/event_loop.hpp"

namespace bryo::monitor {

class BypassStandby final : EventHandler {
 public:
  // `link`: to a helper that works or is going to be started.
  BypassStandby(EventLoop& loop, UniqueFd link, std::function<void()> helper_wanted);
  ~BypassStandby();

  // Of a filter that holds calls back. Without a helper they are let through.
  void add(UniqueFd listener);
  // The link to another helper. Throws Error{conflict} while there is one.
  void take(UniqueFd link);

 private:
  struct Held final : EventHandler {
    Held(BypassStandby& standby, UniqueFd fd) : owner(standby), listener(std::move(fd)) {}
    void on_events(std::uint32_t events) override { owner.on_listener(*this, events); }
    BypassStandby& owner;
    kernel::SeccompListener listener;
  };

  // The helper's end of the link is closed.
  void on_events(std::uint32_t events) override;
  void on_listener(Held& held, std::uint32_t events);
  void drop(Held& held);
  void begin(UniqueFd link);
  void lose();
  void ask();

  EventLoop& loop_;
  std::function<void()> helper_wanted_;
  std::list<Held> held_;
  UniqueFd link_;  // empty: there is no helper
  std::optional<bypass::Journal> journal_;
  EventLoop::Clock::time_point since_{};
  std::chrono::milliseconds delay_{0};
  Timer ask_;
};

}  // namespace bryo::monitor

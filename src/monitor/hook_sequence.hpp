// Hooks beside everything else that the loop does: those that run while the container does (poststart), or while its
// clients still read (poststop). One after the other; a failure keeps none from running.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "monitor/event_loop.hpp"
#include "runtime/hook_program.hpp"

namespace bryo::monitor {

class HookSequence final : EventHandler {
 public:
  struct Hooks {
    const char* kind = "";
    std::vector<runtime::HookProgram> list;
    std::string state;      // what each of them reads
    int oom_score_adj = 0;  // theirs is not the monitor's own
  };
  // Told once, with the failures, when the last one has ended; perhaps from within begin().
  using Done = std::function<void(std::vector<std::string> failures)>;

  HookSequence(EventLoop& loop, Hooks hooks, Done done);
  ~HookSequence();
  HookSequence(const HookSequence&) = delete;
  HookSequence& operator=(const HookSequence&) = delete;

  void begin() { next(); }
  // A child of ours has ended and was reaped: true when it was the hook.
  bool on_child(const siginfo_t& end);
  bool over() const { return over_; }

 private:
  // The hook has written something.
  void on_events(std::uint32_t events) override;
  void next();
  void stop_watching();

  EventLoop& loop_;
  const Hooks hooks_;
  const Done done_;
  std::size_t index_ = 0;
  std::unique_ptr<runtime::RunningHook> running_;
  bool watching_ = false;
  bool too_late_ = false;
  bool over_ = false;
  std::vector<std::string> failures_;
  Timer timer_;
};

}  // namespace bryo::monitor

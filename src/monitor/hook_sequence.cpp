#include "monitor/hook_sequence.hpp"

#include <utility>

#include "base/error.hpp"

namespace bryo::monitor {

HookSequence::HookSequence(EventLoop& loop, Hooks hooks, Done done)
    : loop_(loop), hooks_(std::move(hooks)), done_(std::move(done)), timer_(loop, [this] {
        too_late_ = true;
        running_->kill();
      }) {}

HookSequence::~HookSequence() { stop_watching(); }

void HookSequence::next() {
  for (; index_ < hooks_.list.size(); ++index_) {
    const runtime::HookProgram& hook = hooks_.list[index_];
    try {
      running_ = std::make_unique<runtime::RunningHook>(hook, hooks_.kind, hooks_.state, hooks_.oom_score_adj);
    } catch (const Error& error) {
      failures_.push_back(error.message());
      continue;
    }
    loop_.add(running_->output(), EPOLLIN, *this);
    watching_ = true;
    too_late_ = false;
    if (hook.timeout) timer_.arm(std::chrono::seconds(*hook.timeout));
    return;
  }
  over_ = true;
  done_(std::move(failures_));
}

void HookSequence::on_events(std::uint32_t) {
  if (!running_->read_output()) stop_watching();
}

void HookSequence::stop_watching() {
  if (std::exchange(watching_, false)) loop_.remove(running_->output(), *this);
}

bool HookSequence::on_child(const siginfo_t& end) {
  if (!running_ || end.si_pid != running_->pid()) return false;
  timer_.disarm();
  stop_watching();
  if (too_late_)
    failures_.push_back(running_->timed_out());
  else if (auto failure = running_->failure(end))
    failures_.push_back(std::move(*failure));
  running_.reset();
  ++index_;
  next();
  return true;
}

}  // namespace bryo::monitor

#include "monitor/bypass_standby.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "bypass/link.hpp"

namespace bryo::monitor {
namespace {

// A helper that lived so long is followed by another at once.
constexpr std::chrono::seconds kLongLife{10};
constexpr std::chrono::milliseconds kFirstDelay{1000};
constexpr std::chrono::milliseconds kLongestDelay{30'000};

}  // namespace

BypassStandby::BypassStandby(EventLoop& loop, UniqueFd link, std::function<void()> helper_wanted)
    : loop_(loop), helper_wanted_(std::move(helper_wanted)), ask_(loop, [this] { ask(); }) {
  begin(std::move(link));
}

BypassStandby::~BypassStandby() {
  for (Held& held : held_) loop_.remove(held.listener.get(), held);
  if (link_) loop_.remove(link_.get(), *this);
}

// EPOLLHUP comes unasked.
void BypassStandby::begin(UniqueFd link) {
  since_ = EventLoop::Clock::now();
  const UniqueFd memory = bypass::Journal::make_memory();
  journal_.emplace(memory);
  loop_.add(link.get(), 0, *this);
  link_ = std::move(link);
  try {
    bypass::send_journal(link_.get(), memory.get());
    for (Held& held : held_) {
      loop_.change(held.listener.get(), 0, held);
      bypass::send_listener(link_.get(), held.listener.get());
    }
  } catch (const Error&) {
    lose();
  }
}

void BypassStandby::add(UniqueFd listener) {
  Held& held = held_.emplace_back(*this, std::move(listener));
  loop_.add(held.listener.get(), link_ ? std::uint32_t{0} : std::uint32_t{EPOLLIN}, held);
  if (!link_) return;
  try {
    bypass::send_listener(link_.get(), held.listener.get());
  } catch (const Error&) {
    lose();
  }
}

void BypassStandby::take(UniqueFd link) {
  if (link_) fail(ErrorKind::conflict, "this container has a bypass helper already");
  ask_.disarm();
  begin(std::move(link));
}

void BypassStandby::on_events(std::uint32_t) { lose(); }

void BypassStandby::on_listener(Held& held, std::uint32_t events) try {
  if ((events & EPOLLIN) == 0) {
    drop(held);  // nobody is left behind this filter
    return;
  }
  kernel::HeldRecord record;
  if (const auto call = held.listener.receive(record)) held.listener.let_through(*call);
} catch (const Error&) {
  drop(held);  // the container's life does not depend on it: who is still there hears ENOSYS
}

void BypassStandby::drop(Held& held) {
  loop_.remove(held.listener.get(), held);
  held_.remove_if([&](const Held& other) { return &other == &held; });
}

void BypassStandby::lose() {
  loop_.remove(link_.get(), *this);
  link_.reset();
  for (Held& held : held_) {
    try {
      loop_.change(held.listener.get(), EPOLLIN, held);
      journal_->settle(held.listener);
    } catch (const Error&) {
      // The kernel knows nothing of that call any more.
    }
  }
  journal_.reset();
  if (EventLoop::Clock::now() - since_ >= kLongLife) delay_ = std::chrono::milliseconds(0);
  ask_.arm(delay_);
}

void BypassStandby::ask() {
  delay_ = std::clamp(delay_ * 2, kFirstDelay, kLongestDelay);
  ask_.arm(delay_);
  helper_wanted_();
}

}  // namespace bryo::monitor

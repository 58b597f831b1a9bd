#include "bypass/watched.hpp"

#include <algorithm>

#include "kernel/seccomp_notify.hpp"

namespace bryo::bypass {
namespace {

constexpr std::size_t kMostCallers = 128;
// An epoll_create that was let through has happened after this long, and the process is looked at again.
constexpr std::chrono::seconds kSettled{1};

}  // namespace

Callers::Caller* Callers::find(pid_t thread) {
  const auto known = callers_.find(thread);
  if (known != callers_.end()) return known->second.get();
  UniqueFd process = kernel::open_thread(thread);
  if (!process) return nullptr;
  if (callers_.size() >= kMostCallers) callers_.clear();
  auto& caller = callers_[thread] = std::make_unique<Caller>();
  caller->process = std::move(process);
  return caller.get();
}

UniqueFd Callers::copy_descriptor(pid_t thread, int number) {
  // The second try: the number of the thread belongs to a new one.
  for (int attempt = 0; attempt < 2; ++attempt) {
    Caller* caller = find(thread);
    if (caller == nullptr) return {};
    bool gone = false;
    UniqueFd copy = kernel::copy_descriptor_of(caller->process.get(), number, gone);
    if (!gone) return copy;
    callers_.erase(thread);
  }
  return {};
}

std::optional<int> Callers::descriptor_flags(pid_t thread, int number) {
  Caller* caller = find(thread);
  if (caller == nullptr) return std::nullopt;
  if (!caller->facts) caller->facts = kernel::open_descriptor_facts(thread);
  return caller->facts ? kernel::descriptor_flags(caller->facts.get(), number) : std::nullopt;
}

void Callers::look(pid_t thread, Caller& caller) {
  caller.epolls = kernel::epoll_descriptors_of(thread);
  caller.looked_at = generation_;
  caller.when = Clock::now();
}

bool Callers::watched(pid_t thread, int number) {
  Caller* caller = find(thread);
  if (caller == nullptr) return true;
  bool fresh = false;
  if (caller->looked_at != generation_ || caller->when < last_made_ + kSettled) {
    look(thread, *caller);
    fresh = true;
  }
  while (true) {
    bool stale = false;
    for (const int epoll : caller->epolls) {
      const auto answer = kernel::epoll_watches(thread, epoll, number);
      if (answer == kernel::EpollAnswer::registered) return true;
      stale |= answer == kernel::EpollAnswer::no_epoll;
    }
    if (!stale) return false;
    if (fresh) return true;  // the kernel cannot say
    look(thread, *caller);
    fresh = true;
  }
}

void Callers::epoll_made() {
  ++generation_;
  last_made_ = Clock::now();
}

void Callers::forget() { callers_.clear(); }

}  // namespace bryo::bypass

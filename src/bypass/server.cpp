#include "bypass/server.hpp"

#include <linux/capability.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <list>
#include <optional>

#include "base/error.hpp"
#include "bypass/journal.hpp"
#include "bypass/link.hpp"
#include "bypass/switching.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/confinement.hpp"
#include "kernel/idle_memory.hpp"
#include "kernel/seccomp_notify.hpp"

namespace bryo::bypass {
namespace {

constexpr int kQuiet = 2000;  // ms without a call, after which memory is given back

class Server {
 public:
  explicit Server(UniqueFd link) : link_(std::move(link)), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) fail_errno("epoll_create1");
    watch(link_.get(), nullptr);
  }

  void run() {
    bool restless = true;
    while (link_ || !listeners_.empty()) {
      std::array<epoll_event, 16> events{};
      const int count =
          ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), restless ? kQuiet : -1);
      if (count < 0 && errno != EINTR) fail_errno("epoll_wait");
      for (int i = 0; i < count; ++i) serve(events[static_cast<std::size_t>(i)]);
      restless = count != 0;
      if (count == 0) rest();
    }
  }

 private:
  using Listener = kernel::SeccompListener;

  void watch(int fd, Listener* listener) {
    epoll_event event{EPOLLIN, {.ptr = listener}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl");
  }

  void serve(const epoll_event& event) {
    auto* listener = static_cast<Listener*>(event.data.ptr);
    if (listener == nullptr)
      take_message();
    else if ((event.events & EPOLLIN) != 0)
      take_call(*listener);
    else
      drop(*listener);  // its processes are gone
  }

  void drop(Listener& listener) {
    // Closing is not enough: the monitor has a copy, and epoll would go on telling.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.get(), nullptr);
    listeners_.remove_if([&](const Listener& other) { return &other == &listener; });
  }

  void take_message() {
    auto message = receive_message(link_.get());
    if (!message) {
      link_.reset();
      return;
    }
    if (message->networks) {
      Networks& networks = *message->networks;
      switching_.emplace(Routes(std::move(networks.container)), Routes(std::move(networks.engine)), networks.with_udp);
    }
    if (message->journal) journal_ = Journal(message->journal);
    if (message->listener) {
      Listener& listener = listeners_.emplace_back(std::move(message->listener));
      watch(listener.get(), &listener);
    }
  }

  void take_call(Listener& listener) {
    const auto call = listener.receive(journal_.next());
    if (!call) return;
    if (switching_)
      switching_->handle(listener, *call, journal_);
    else
      listener.let_through(*call);
  }

  void rest() {
    if (switching_) switching_->rest();
    kernel::release_clean_pages();
    kernel::release_unused_stack();
  }

  UniqueFd link_;
  UniqueFd epoll_;
  std::list<Listener> listeners_;
  std::optional<Switching> switching_;
  Journal journal_;
};

// All that is needed from here on is to look into the container's processes.
void drop_rights(std::uint64_t kept) {
  kernel::forbid_new_privileges();
  kernel::keep_capabilities(kept | kernel::capability_bit(CAP_SYS_PTRACE));
  kernel::make_undumpable();
}

}  // namespace

int run_server(UniqueFd link, std::uint64_t rights) try {
  for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGTSTP})
    ::signal(number, SIG_IGN);
  ::prctl(PR_SET_NAME, kProgramName, 0, 0, 0);
  drop_rights(rights);
  Server(std::move(link)).run();
  return 0;
} catch (const std::exception&) {
  // Standard error is /dev/null. The monitor notices, and lets calls through.
  return 1;
}

}  // namespace bryo::bypass

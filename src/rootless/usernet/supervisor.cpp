#include "rootless/usernet/supervisor.hpp"

#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "kernel/capabilities.hpp"
#include "kernel/confinement.hpp"
#include "kernel/idle_memory.hpp"
#include "rootless/usernet/confine.hpp"
#include "rootless/usernet/resolver_file.hpp"
#include "rootless/usernet/resolver_watch.hpp"
#include "rootless/usernet/stack.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr int kNotConfined = 3;  // the child's exit status: it could not begin, and no other one could
constexpr int kBroken = 4;       // it began; another one may do better
constexpr std::uint64_t kLargestLog = 1 << 20;
constexpr int kPollInterval = 5000;  // ms, where the kernel gives no inotify

using Clock = std::chrono::steady_clock;

UniqueFd block_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // the log is full: write(2) says so
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) fail_errno("block signals");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) fail_errno("signalfd");
  return fd;
}

class Supervisor {
 public:
  explicit Supervisor(const Config& config)
      : config_(config),
        addresses_(user_network_addresses(config.cidr)),
        signals_(block_signals()),
        watch_(config.resolv_conf),
        tap_(kTapDescriptor),
        ready_(kReadyDescriptor) {}

  int run() {
    start_child();
    kernel::release_clean_pages();
    for (;;) {
      std::array<pollfd, 2> wanted = {{{signals_.get(), POLLIN, 0}, {watch_.descriptor(), POLLIN, 0}}};
      ::poll(wanted.data(), wanted.size(), watch_.descriptor() < 0 ? kPollInterval : -1);
      if (wanted[0].revents != 0)
        if (const int status = take_signals(); status >= 0) return status;
      if (wanted[1].revents != 0 || watch_.descriptor() < 0) follow_name_servers();
    }
  }

 private:
  void start_child() {
    root_.emplace();
    servers_ = read_servers();
    root_->put_resolver_file(servers_);
    started_ = Clock::now();
    const pid_t own = ::getpid();
    child_ = ::fork();
    if (child_ < 0) fail_errno("fork");
    if (child_ == 0) ::_exit(become_stack(own));
    ready_.reset();
  }

  // The child's exit status.
  int become_stack(pid_t parent) {
    bool began = false;
    try {
      kernel::die_with(parent);
      signals_.reset();
      watch_.close();
      Stack stack(config_, std::move(tap_));  // its random numbers get a seed from /dev/urandom, while there is one
      kernel::release_clean_pages();
      confine(*std::exchange(root_, std::nullopt));
      if (ready_ && ::write(ready_.get(), "1", 1) != 1) return kNotConfined;  // whoever started us is gone
      ready_.reset();
      began = true;
      stack.run();
      return 0;
    } catch (const std::exception& error) {
      log::error("the user-mode network cannot {}: {}", began ? "go on" : "begin", error.what());
      return began ? kBroken : kNotConfined;
    }
  }

  // -1: go on.
  int take_signals() {
    signalfd_siginfo info = {};
    bool child_ended = false;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD)
        child_ended = true;
      else
        return end_child();
    }
    return child_ended ? look_at_child() : -1;
  }

  int end_child() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    return 0;
  }

  int look_at_child() {
    int status = 0;
    if (::waitpid(child_, &status, WNOHANG) != child_) return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNotConfined) return 1;
    ++deaths_;
    if (WIFSIGNALED(status))
      log::error(
          "the user-mode network was ended by signal {} ({}), {} so far; its connections are lost, it starts anew",
          WTERMSIG(status), ::strsignal(WTERMSIG(status)), deaths_);
    else
      log::error("the user-mode network ended with status {}, {} so far; it starts anew", WEXITSTATUS(status), deaths_);
    // Somebody inside may break it as often as it starts: not more than a few times a second.
    constexpr std::chrono::milliseconds kPause{200};
    if (Clock::now() - started_ < std::chrono::seconds(1)) std::this_thread::sleep_for(kPause);
    start_child();
    return -1;
  }

  std::string read_servers() {
    return resolver_file(watch_.read(), addresses_,
                         [](const std::string& name) { return ::if_nametoindex(name.c_str()); });
  }

  void follow_name_servers() {
    std::string now = read_servers();
    if (now == servers_) return;
    servers_ = std::move(now);
    root_->put_resolver_file(servers_);
  }

  const Config& config_;
  UserNetworkAddresses addresses_;
  UniqueFd signals_;
  ResolverWatch watch_;
  UniqueFd tap_, ready_;
  std::optional<EmptyRoot> root_;
  std::string servers_;
  pid_t child_ = -1;
  Clock::time_point started_;
  unsigned deaths_ = 0;
};

}  // namespace

int supervise(const Config& config) {
  kernel::close_descriptors_from(kReadyDescriptor + 1);  // of starters that do not close theirs on exec
  kernel::limit_resource(RLIMIT_CORE, 0);
  kernel::limit_resource(RLIMIT_FSIZE, kLargestLog);
  kernel::make_undumpable();
  kernel::give_up_groups();
  // Of all that root in a user namespace may do, a next child needs its empty root, and to give up the rest.
  kernel::keep_capabilities(kernel::capability_bit(CAP_SYS_ADMIN) | kernel::capability_bit(CAP_SETPCAP));
  kernel::forbid_new_privileges();
  return Supervisor(config).run();
}

}  // namespace bryo::rootless::usernet

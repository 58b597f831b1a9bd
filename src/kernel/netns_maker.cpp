#include "kernel/netns_maker.hpp"

#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <system_error>

#include "base/error.hpp"
#include "kernel/netns.hpp"
#include "kernel/signal_block.hpp"

namespace bryo::kernel {
namespace {

void raise_loopback() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) fail_errno("socket");
  struct ifreq request = {};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) fail_errno("set interface lo up");
}

}  // namespace

bool NetnsMaker::saves_time() {
  cpu_set_t allowed;
  return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1;
}

NetnsMaker::NetnsMaker(UniqueFd slow_to_close) : slow_to_close_(std::move(slow_to_close)) {
  const SignalBlock block;  // signals are for the thread that expects them
  try {
    thread_ = std::thread([this] { make(); });
    run_elsewhere();
  } catch (const std::system_error& error) {
    throw Error::from_errno(error.code().value(), "start a thread that makes a network namespace");
  }
}

// Schedulers differ in where they begin a thread. On the processor of whoever waits for it, it would be of no use.
void NetnsMaker::run_elsewhere() {
  cpu_set_t others;
  const int here = ::sched_getcpu();
  if (here < 0 || ::sched_getaffinity(0, sizeof others, &others) != 0) return;
  CPU_CLR(static_cast<unsigned>(here), &others);
  if (CPU_COUNT(&others) > 0) ::pthread_setaffinity_np(thread_.native_handle(), sizeof others, &others);
}

NetnsMaker::~NetnsMaker() {
  if (thread_.joinable()) thread_.join();
}

void NetnsMaker::make() {
  try {
    enter_new_netns();
    raise_loopback();
    made_ = open_own_netns();
    slow_to_close_.reset();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

UniqueFd NetnsMaker::take() {
  thread_.join();
  if (failure_) std::rethrow_exception(failure_);
  return std::move(made_);
}

}  // namespace bryo::kernel

#include "kernel/netns_maker.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <optional>
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

// How many tasks run or wait for a processor, the caller included (proc_loadavg(5)).
int running_tasks() {
  const UniqueFd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!file || ::read(file.get(), text, sizeof text - 1) <= 0) return INT_MAX;
  int running = 0;
  return std::sscanf(text, "%*s %*s %*s %d/", &running) == 1 ? running : INT_MAX;
}

// Those but the caller's, when not all of them are busy. Schedulers differ in where they begin a thread, and on the
// processor of whoever waits for it, it is of no use; on a busy machine they know better.
std::optional<cpu_set_t> idle_processors() {
  cpu_set_t processors;
  const int here = ::sched_getcpu();
  if (here < 0 || ::sched_getaffinity(0, sizeof processors, &processors) != 0) return std::nullopt;
  const int count = CPU_COUNT(&processors);
  CPU_CLR(static_cast<unsigned>(here), &processors);
  if (CPU_COUNT(&processors) == 0 || running_tasks() >= count) return std::nullopt;
  return processors;
}

}  // namespace

bool NetnsMaker::saves_time() {
  cpu_set_t allowed;
  return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1;
}

NetnsMaker::NetnsMaker(UniqueFd slow_to_close) : slow_to_close_(std::move(slow_to_close)) {
  const SignalBlock block;  // signals are for the thread that expects them
  try {
    const auto others = idle_processors();
    thread_ = std::thread([this] { make(); });
    if (others) ::pthread_setaffinity_np(thread_.native_handle(), sizeof *others, &*others);
  } catch (const std::system_error& error) {
    throw Error::from_errno(error.code().value(), "start a thread that makes a network namespace");
  }
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

#include "bypass/switching.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "base/error.hpp"
#include "bypass/address.hpp"

namespace bryo::bypass {
namespace {

constexpr std::uint32_t kX32 = 0x40000000;

// The other calls that are held make epolls.
bool is_connect(const kernel::HeldCall& call) {
  const auto number = static_cast<std::uint32_t>(call.number) & ~kX32;
  switch (call.arch) {
    case AUDIT_ARCH_X86_64:
      return number == 42;
    case AUDIT_ARCH_I386:
      return number == 362;
    case AUDIT_ARCH_AARCH64:
      return number == 203;
    case AUDIT_ARCH_ARM:
      return number == 283;
    default:
      return false;
  }
}

// 0, or an errno.
int begin_connect(int socket, const Address& address) {
  const auto* to = reinterpret_cast<const sockaddr*>(&address.socket_address);
  return ::connect(socket, to, address.size) == 0 ? 0 : errno;
}

bool make_blocking(int socket) {
  int off = 0;
  return ::ioctl(socket, FIONBIO, &off) == 0;
}

}  // namespace

struct Switching::Connect {
  const kernel::SeccompListener& listener;
  const kernel::HeldCall& call;
  Journal& journal;
  int number;
  const Address& address;
  const UniqueFd& socket;
  const SocketFacts& facts;

  void let_through() const { listener.let_through(call); }
  void finish(int error) const { error == 0 ? listener.answer(call, 0) : listener.refuse(call, error); }
};

Switching::Switching(Routes container, Routes engine, bool with_udp)
    : container_(std::move(container)),
      engine_(std::move(engine)),
      host_(RouteSockets::open_here()),
      with_udp_(with_udp) {
  if (host_.network() == 0) fail(ErrorKind::unsupported, "bypass needs Linux 5.14 (SO_NETNS_COOKIE)");
}

void Switching::handle(const kernel::SeccompListener& listener, const kernel::HeldCall& call, Journal& journal) {
  if (is_connect(call)) {
    connect(listener, call, journal);
    return;
  }
  callers_.epoll_made();
  listener.let_through(call);
}

void Switching::connect(const kernel::SeccompListener& listener, const kernel::HeldCall& call, Journal& journal) {
  const auto number = static_cast<int>(call.arguments[0]);
  const auto size = static_cast<int>(call.arguments[2]);
  std::array<std::byte, kLongestAddress> bytes{};
  const std::span given(bytes.data(), static_cast<std::size_t>(std::clamp(size, 0, int{kLongestAddress})));
  if (call.thread == 0 || number < 0 || size > static_cast<int>(sizeof(sockaddr_storage)) ||
      !kernel::read_memory_of(call.thread, call.arguments[1], given)) {
    listener.let_through(call);
    return;
  }
  const Address address = parse_address(given);
  if (address.kind == AddressKind::malformed || address.kind == AddressKind::other_family) {
    listener.let_through(call);
    return;
  }
  const UniqueFd socket = callers_.copy_descriptor(call.thread, number);
  // Until here all may have been a stranger's, from here on it is surely the caller's.
  const auto facts = socket ? look_at(socket.get()) : std::nullopt;
  if (!facts || !listener.alive(call)) {
    listener.let_through(call);
    return;
  }
  const Connect held{listener, call, journal, number, address, socket, *facts};
  if (facts->network == host_.network())
    connect_again(held);
  else if (facts->network == container_.network() && is_outside(address))
    exchange(held);
  else
    held.let_through();
}

bool Switching::is_outside(const Address& address) {
  return address.kind == AddressKind::routable && container_.to(address.ip).way == Way::gateway &&
         engine_.to(address.ip).way != Way::nearby;
}

// A socket that was exchanged before. The kernel looks at the caller's address only when nothing is under way.
void Switching::connect_again(const Connect& connect) {
  if (connect.facts.tcp() && (!connect.facts.closed || connect.facts.has_error)) {
    connect.let_through();
    return;
  }
  if (!is_outside(connect.address)) {
    connect.finish(ENETUNREACH);  // there is no way back into the container's network
    return;
  }
  if (!connect.facts.tcp() || !connect.facts.blocking)
    connect.finish(begin_connect(connect.socket.get(), connect.address));
  else
    exchange(connect);
}

// A blocking connect() with a time-out is the container's own: of a socket that is connecting already it would end with
// EALREADY instead of EINPROGRESS.
UniqueFd Switching::double_of(const Connect& connect) {
  const SocketFacts& facts = connect.facts;
  const bool usual = (facts.tcp() || with_udp_) && facts.closed && !facts.bound && !facts.has_error &&
                     !facts.has_signals && !(facts.blocking && facts.has_timeout) &&
                     (facts.family == AF_INET6) == (connect.address.socket_address.ss_family == AF_INET6);
  if (!usual || callers_.watched(connect.call.thread, connect.number)) return {};
  return doubles_.make(connect.socket.get(), facts, host_.to(connect.address.ip).interface);
}

void Switching::exchange(const Connect& connect) {
  const bool again = connect.facts.network == host_.network();
  const auto otherwise = [&] { again ? connect.finish(ENETUNREACH) : connect.let_through(); };
  UniqueFd socket = double_of(connect);
  const auto flags = socket ? callers_.descriptor_flags(connect.call.thread, connect.number) : std::optional<int>();
  if (!flags) {
    otherwise();
    return;
  }
  int error = begin_connect(socket.get(), connect.address);
  // On this machine a connection is there at once, and a refusal, too.
  if (error == EINPROGRESS && connect.facts.blocking) {
    error = begin_connect(socket.get(), connect.address);
    if (error == EALREADY) error = EINPROGRESS;
  }
  if (error != 0 && error != EINPROGRESS) {
    connect.finish(error);
    return;
  }
  // A blocking connect() of a socket that is connecting waits for that and looks at no address.
  const bool waits = error == EINPROGRESS && connect.facts.blocking;
  connect.journal.exchanging(socket.get(), {waits, error});
  if ((connect.facts.blocking && !make_blocking(socket.get())) ||
      !connect.listener.replace(connect.call, socket.get(), connect.number, (*flags & O_CLOEXEC) != 0)) {
    otherwise();
    return;
  }
  // Before the answer: a close() of the caller's, which may be its next step, is the last one and does what it says.
  socket.reset();
  if (waits)
    connect.let_through();
  else
    connect.finish(error);
  doubles_.prepare(connect.facts);
}

void Switching::rest() { callers_.forget(); }

}  // namespace bryo::bypass

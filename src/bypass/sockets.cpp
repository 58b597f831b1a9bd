#include "bypass/sockets.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "kernel/seccomp_notify.hpp"

// Newer than the headers of Debian 12, or hidden by the C library.
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

namespace bryo::bypass {
namespace {

// SOCK_SNDBUF_LOCK and SOCK_RCVBUF_LOCK of linux/socket.h: somebody has chosen the size.
constexpr int kSendLocked = 1;
constexpr int kReceiveLocked = 2;

enum class Care {
  copy,     // the double is told the same
  attempt,  // as copy; a host that does not allow it is no obstacle
  refuse,   // a socket that was told this is not doubled
};

enum class On { any, tcp, udp, v6, udp_v6 };

struct Option {
  int level;
  int name;
  Care care = Care::copy;
  On on = On::any;
  socklen_t size = sizeof(int);
};

// Each costs a call of the kernel for every connection: without those that matter only before bind or listen, or not
// for this protocol. What the kernel does not know is left out.
constexpr auto kOptions = std::to_array<Option>({
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_LINGER, Care::copy, On::any, sizeof(struct linger)},
    {SOL_SOCKET, SO_RCVTIMEO, Care::copy, On::any, sizeof(struct timeval)},
    {SOL_SOCKET, SO_SNDTIMEO, Care::copy, On::any, sizeof(struct timeval)},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_TIMESTAMP},
    {SOL_SOCKET, SO_TIMESTAMPNS},
    {SOL_SOCKET, SO_TIMESTAMPING},
    {SOL_SOCKET, SO_MAX_PACING_RATE, Care::copy, On::any, sizeof(unsigned long)},
    {SOL_SOCKET, SO_BROADCAST, Care::copy, On::udp},
    {SOL_SOCKET, SO_RXQ_OVFL, Care::copy, On::udp},
    {SOL_SOCKET, SO_NO_CHECK, Care::copy, On::udp},
    {SOL_SOCKET, SO_MARK, Care::refuse},
    {SOL_SOCKET, SO_BINDTOIFINDEX, Care::refuse},
    {SOL_SOCKET, SO_DONTROUTE, Care::refuse},
    {SOL_SOCKET, SO_ZEROCOPY, Care::refuse},
    {SOL_SOCKET, SO_TXTIME, Care::refuse, On::udp, 8},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_RECVTOS, Care::copy, On::udp},
    {IPPROTO_IP, IP_RECVTTL, Care::copy, On::udp},
    {IPPROTO_IP, IP_PKTINFO, Care::copy, On::udp},
    {IPPROTO_IP, IP_MINTTL},
    {IPPROTO_IP, IP_LOCAL_PORT_RANGE},
    {IPPROTO_IPV6, IPV6_V6ONLY, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_TCLASS, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_RECVERR, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, Care::copy, On::udp_v6},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, Care::copy, On::udp_v6},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, Care::copy, On::udp_v6},
    {IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_DONTFRAG, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_MINHOPCOUNT, Care::copy, On::v6},
    {IPPROTO_IPV6, IPV6_FLOWINFO_SEND, Care::refuse, On::v6},
    {IPPROTO_TCP, TCP_NODELAY, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_MAXSEG, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_CORK, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_KEEPIDLE, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_KEEPINTVL, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_KEEPCNT, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_SYNCNT, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_LINGER2, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_QUICKACK, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_INQ, Care::copy, On::tcp},
    {IPPROTO_TCP, TCP_TX_DELAY, Care::attempt, On::tcp},
    {IPPROTO_TCP, TCP_CONGESTION, Care::attempt, On::tcp, 16},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, Care::refuse, On::tcp},
});

bool concerns(const Option& option, const SocketFacts& facts) {
  switch (option.on) {
    case On::any:
      return true;
    case On::tcp:
      return facts.tcp();
    case On::udp:
      return !facts.tcp();
    case On::v6:
      return facts.family == AF_INET6;
    case On::udp_v6:
      return !facts.tcp() && facts.family == AF_INET6;
  }
  return false;
}

template <typename T>
T ask(int socket, int level, int name, T otherwise) {
  T value{};
  socklen_t size = sizeof value;
  return ::getsockopt(socket, level, name, &value, &size) == 0 ? value : otherwise;
}

bool tell(int socket, int level, int name, const void* value, socklen_t size) {
  return ::setsockopt(socket, level, name, value, size) == 0;
}

// Empty when the kernel does not know the option.
std::vector<char> ask_any(int socket, const Option& option) {
  char value[32];
  socklen_t size = option.size;
  if (::getsockopt(socket, option.level, option.name, value, &size) != 0) return {};
  return {value, value + size};
}

bool same(int socket, const Option& option, const std::vector<char>& expected, char* value, socklen_t& size) {
  size = option.size;
  return expected.empty() || ::getsockopt(socket, option.level, option.name, value, &size) != 0 ||
         (size == expected.size() && std::memcmp(value, expected.data(), size) == 0);
}

// Sizes are told and answered in different units (socket(7): the kernel doubles them).
bool copy_buffer(int from, int to, int name) {
  const int size = ask(from, SOL_SOCKET, name, 0) / 2;
  return tell(to, SOL_SOCKET, name, &size, sizeof size);
}

// Filters and IP options cannot be copied: their length says whether there are any.
bool has_attachments(int socket, const SocketFacts& facts) {
  socklen_t filter = 0;
  if (::getsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, nullptr, &filter) == 0 && filter != 0) return true;
  char options[40];
  socklen_t size = sizeof options;
  return facts.family == AF_INET && ::getsockopt(socket, IPPROTO_IP, IP_OPTIONS, options, &size) == 0 && size != 0;
}

#define LOAD_BYTE(at) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (at))
#define LOAD_WORD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define NETWORK(at) (static_cast<std::uint32_t>(SKF_NET_OFF) + (at))
constexpr std::uint32_t kFlagsOfTcp = 13;
constexpr std::uint32_t kSynAck = 0x12;
constexpr std::uint32_t kSyn = 0x02;

// Drops what comes from the host's loopback addresses and, for TCP, what asks for a connection; nobody can take it off.
// Newer kernels want CAP_NET_ADMIN for it (seen with 6.18.44; 6.1 does not).
bool attach_filter(int socket, bool tcp) {
  const std::uint32_t past_tcp = tcp ? 0 : 4;
  const sock_filter program[] = {
      LOAD_BYTE(NETWORK(0)),
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
      IF_EQUAL(4, 0, 2),
      LOAD_BYTE(NETWORK(12)),
      IF_EQUAL(127, 12, 8),
      LOAD_WORD(NETWORK(8)),  // IPv6
      IF_EQUAL(0, 0, 6),
      LOAD_WORD(NETWORK(12)),
      IF_EQUAL(0, 0, 4),
      LOAD_WORD(NETWORK(16)),
      IF_EQUAL(0, 0, 2),
      LOAD_WORD(NETWORK(20)),
      IF_EQUAL(1, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JA, past_tcp, 0, 0),
      LOAD_BYTE(kFlagsOfTcp),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSynAck),
      IF_EQUAL(kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], const_cast<sock_filter*>(program)};
  const int on = 1;
  return tell(socket, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) &&
         tell(socket, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on);
}

bool is_unspecified(const sockaddr_storage& address) {
  sockaddr_storage none{};
  none.ss_family = address.ss_family;
  return std::memcmp(&address, &none, sizeof none) == 0;
}

}  // namespace

std::optional<SocketFacts> look_at(int socket) {
  SocketFacts facts;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  facts.family = address.ss_family;
  facts.type = ask(socket, SOL_SOCKET, SO_TYPE, 0);
  facts.protocol = ask(socket, SOL_SOCKET, SO_PROTOCOL, 0);
  const bool internet = facts.family == AF_INET || facts.family == AF_INET6;
  const bool known = (facts.type == SOCK_STREAM && facts.protocol == IPPROTO_TCP) ||
                     (facts.type == SOCK_DGRAM && facts.protocol == IPPROTO_UDP);
  if (!internet || !known) return std::nullopt;
  facts.network = kernel::network_of_socket(socket);
  const int flags = ::fcntl(socket, F_GETFL);
  facts.blocking = (flags & O_NONBLOCK) == 0;
  const auto timeout = ask<timeval>(socket, SOL_SOCKET, SO_SNDTIMEO, {});
  facts.has_timeout = timeout.tv_sec != 0 || timeout.tv_usec != 0;
  facts.has_signals = (flags & O_ASYNC) != 0;
  facts.bound = !is_unspecified(address);
  facts.closed = !facts.tcp() || ask<std::uint8_t>(socket, IPPROTO_TCP, TCP_INFO, 0) == TCP_CLOSE;
  pollfd state{socket, 0, 0};
  facts.has_error = ::poll(&state, 1, 0) > 0 && (state.revents & POLLERR) != 0;
  return facts;
}

UniqueFd Doubles::fresh(const SocketFacts& facts) {
  UniqueFd socket(::socket(facts.family, facts.type | SOCK_CLOEXEC | SOCK_NONBLOCK, facts.protocol));
  if (!socket) return {};
  defaults(socket.get(), facts);
  if (guard_ == Guard::unknown)
    guard_ = attach_filter(socket.get(), facts.tcp()) ? Guard::filter : Guard::interface;
  else if (guard_ == Guard::filter && !attach_filter(socket.get(), facts.tcp()))
    return {};
  return socket;
}

const Doubles::Values& Doubles::defaults(int socket, const SocketFacts& facts) {
  Values& values = defaults_[{facts.family, facts.type}];
  if (!values.empty()) return values;
  for (const Option& option : kOptions)
    values.push_back(concerns(option, facts) ? ask_any(socket, option) : std::vector<char>());
  return values;
}

bool Doubles::copy_options(int from, int to, const SocketFacts& facts) {
  const Values& expected = defaults(to, facts);
  for (std::size_t i = 0; i < kOptions.size(); ++i) {
    const Option& option = kOptions[i];
    char value[32];
    socklen_t size = 0;
    if (same(from, option, expected[i], value, size)) continue;
    if (option.care == Care::refuse) return false;
    if (!tell(to, option.level, option.name, value, size) && option.care == Care::copy) return false;
  }
  const int locked = ask(from, SOL_SOCKET, SO_BUF_LOCK, 0);
  return ((locked & kSendLocked) == 0 || copy_buffer(from, to, SO_SNDBUF)) &&
         ((locked & kReceiveLocked) == 0 || copy_buffer(from, to, SO_RCVBUF));
}

// Only who has CAP_NET_RAW in the host's network may take it off again. For UDP it is no guard (README.md).
bool bind_to_interface(int socket, int interface) {
  return interface != 0 && tell(socket, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, sizeof interface);
}

UniqueFd Doubles::make(int original, const SocketFacts& facts, int interface) {
  UniqueFd socket = std::move(spare_[{facts.family, facts.type}]);
  if (!socket) socket = fresh(facts);
  if (!socket || !copy_options(original, socket.get(), facts) || has_attachments(original, facts)) return {};
  // After the options: a socket that is bound to an interface differs from its original.
  if (guard_ == Guard::interface && facts.tcp() && !bind_to_interface(socket.get(), interface)) return {};
  return socket;
}

void Doubles::prepare(const SocketFacts& like) {
  UniqueFd& spare = spare_[{like.family, like.type}];
  if (!spare) spare = fresh(like);
}

}  // namespace bryo::bypass

#include "rootless/usernet/stack.hpp"

#include <arpa/inet.h>
#include <libslirp.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "rootless/usernet/refusal.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::size_t kLargestFrame = 65536 + 64;
// Frames that are taken before the sockets are looked at: enough to fill a window without a system call between, few
// enough that a flood does not starve the answers.
constexpr int kFramesAtOnce = 64;
constexpr int kIdleMilliseconds = 5000;
constexpr std::size_t kMostNotedErrors = 20;

Stack& self(void* opaque) { return *static_cast<Stack*>(opaque); }

in_addr v4(const kernel::IpAddress& address) {
  in_addr out = {};
  std::memcpy(&out, address.bytes().data(), sizeof out);
  return out;
}
in6_addr v6(const kernel::IpAddress& address) {
  in6_addr out = {};
  std::memcpy(&out, address.bytes().data(), sizeof out);
  return out;
}

SlirpConfig slirp_config(const Config& config, const UserNetworkAddresses& addresses) {
  SlirpConfig out = {};
  out.version = 4;
  out.in_enabled = true;
  out.vnetwork = v4(addresses.network.first());
  out.vnetmask = v4(kernel::IpAddress::v4(
      ~static_cast<std::uint32_t>(addresses.network.first().value() ^ addresses.network.last().value())));
  out.vhost = v4(addresses.host);
  out.vnameserver = v4(addresses.dns);
  out.vdhcp_start = v4(addresses.guest);
  out.in6_enabled = config.ipv6;
  out.vprefix_addr6 = v6(addresses.network6.first());
  out.vprefix_len = static_cast<std::uint8_t>(addresses.network6.length());
  out.vhost6 = v6(addresses.host6);
  out.vnameserver6 = v6(addresses.dns6);
  // Not the interface's MTU: TCP keeps to what the other side offers, and larger packets come and go as one.
  out.if_mtu = kLargestMtu;
  out.if_mru = kLargestMtu;
  out.disable_host_loopback = !config.host_loopback && config.host_ports.empty();
  out.disable_dhcp = true;
  return out;
}

std::uint32_t epoll_events(int events) {
  std::uint32_t out = 0;
  if ((events & SLIRP_POLL_IN) != 0) out |= EPOLLIN;
  if ((events & SLIRP_POLL_OUT) != 0) out |= EPOLLOUT;
  if ((events & SLIRP_POLL_PRI) != 0) out |= EPOLLPRI;
  // Never 0, which would mean "not registered"; these two come unasked anyway.
  return out | EPOLLERR | EPOLLHUP;
}

int slirp_events(std::uint32_t events) {
  int out = 0;
  if ((events & EPOLLIN) != 0) out |= SLIRP_POLL_IN;
  if ((events & EPOLLOUT) != 0) out |= SLIRP_POLL_OUT;
  if ((events & EPOLLPRI) != 0) out |= SLIRP_POLL_PRI;
  if ((events & EPOLLERR) != 0) out |= SLIRP_POLL_ERR;
  if ((events & EPOLLHUP) != 0) out |= SLIRP_POLL_HUP;
  return out;
}

std::int64_t now_nanoseconds(void*) {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

// libslirp's only timer sends router advertisements. Addresses and routes are static here, so it never fires, and an
// idle process is not woken for it.
const SlirpCb& Stack::callbacks() {
  static const SlirpCb table = [] {
    SlirpCb out = {};
    out.send_packet = [](const void* data, std::size_t size, void* opaque) -> ssize_t {
      self(opaque).writer_.send({static_cast<const std::uint8_t*>(data), size});
      return static_cast<ssize_t>(size);
    };
    out.guest_error = [](const char* message, void* opaque) { self(opaque).note_guest_error(message); };
    out.clock_get_ns = now_nanoseconds;
    out.timer_new_opaque = [](SlirpTimerId, void*, void* opaque) -> void* { return opaque; };
    out.timer_free = [](void*, void*) {};
    out.timer_mod = [](void*, std::int64_t, void*) {};
    out.register_poll_fd = [](int, void*) {};
    out.unregister_poll_fd = [](int fd, void* opaque) { self(opaque).poll_.forget(fd); };
    out.notify = [](void*) {};
    out.init_completed = [](Slirp*, void*) {};
    return out;
  }();
  return table;
}

Stack::Stack(const Config& config, UniqueFd tap)
    : tap_(std::move(tap)),
      writer_(tap_.get()),
      filter_(user_network_addresses(config.cidr), config.host_loopback, config.host_ports),
      buffer_(kLargestFrame) {
  const SlirpConfig settings = slirp_config(config, user_network_addresses(config.cidr));
  slirp_ = ::slirp_new(&settings, &callbacks(), this);
  if (slirp_ == nullptr) fail(ErrorKind::internal, "libslirp {} refuses its configuration", ::slirp_version_string());
}

Stack::~Stack() { ::slirp_cleanup(slirp_); }

int Stack::fill_poll_set() {
  poll_.begin();
  poll_.want(tap_.get(), EPOLLIN);
  std::uint32_t timeout = UINT32_MAX;
  ::slirp_pollfds_fill(
      slirp_, &timeout,
      [](int fd, int events, void* opaque) {
        self(opaque).poll_.want(fd, epoll_events(events));
        return fd;
      },
      this);
  // libslirp asks for at most 1000 ms even when it has nothing to do then.
  constexpr std::uint32_t kNothingDue = 1000;
  return timeout >= kNothingDue ? -1 : static_cast<int>(timeout);
}

void Stack::run() {
  bool tidy = false;
  for (;;) {
    const int patience = fill_poll_set();
    // After the last connection: give back once what it needed.
    poll_.wait(patience < 0 && !tidy ? kIdleMilliseconds : patience);
    const std::uint32_t tap = poll_.seen(tap_.get());
    if (patience < 0 && tap == 0 && !tidy) {
      ::malloc_trim(0);
      tidy = true;
      continue;
    }
    tidy = false;
    // First this: libslirp looks at the clock only here, and gives the sockets of new frames their time to live by it.
    ::slirp_pollfds_poll(
        slirp_, 0, [](int fd, void* opaque) { return slirp_events(self(opaque).poll_.seen(fd)); }, this);
    if (tap != 0 && !take_frames()) return;
    writer_.flush();
  }
}

bool Stack::take_frames() {
  for (int i = 0; i < kFramesAtOnce; ++i) {
    const ssize_t size = ::read(tap_.get(), buffer_.data(), buffer_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return true;
    // EBADFD: the interface is gone. There is no other way to lose it.
    if (size <= 0) return false;
    take_frame({buffer_.data(), static_cast<std::size_t>(size)});
  }
  return true;
}

void Stack::take_frame(std::span<std::uint8_t> packet) {
  PacketHeader header;
  if (packet.size() < sizeof header) return;
  std::memcpy(&header, packet.data(), sizeof header);
  std::span<std::uint8_t> frame = packet.subspan(sizeof header);
  if (is_fragment(frame)) {
    frame = reassembly_.take(frame, now_nanoseconds(nullptr) / 1'000'000);
    header = {};
    if (frame.empty()) return;
  }
  switch (filter_.judge(frame)) {
    case Verdict::pass:
      if (complete_checksum(header, frame)) ::slirp_input(slirp_, frame.data(), static_cast<int>(frame.size()));
      break;
    case Verdict::refuse:
      if (const auto answer = refusal_of(frame); !answer.empty()) writer_.send(answer);
      break;
    case Verdict::drop:
      break;
  }
}

void Stack::note_guest_error(const char* message) {
  if (++noted_errors_ <= kMostNotedErrors) log::warning("from the namespace: {}", printable(message));
  if (noted_errors_ == kMostNotedErrors) log::warning("from the namespace: further errors are not written down");
}

}  // namespace bryo::rootless::usernet

#include "monitor/forward_udp.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace bryo::monitor {

// The host's own address that a datagram was sent to: the reply must come from there.
struct LocalAddress {
  int family = AF_UNSPEC;
  in_addr v4{};
  in6_pktinfo v6{};
  bool operator==(const LocalAddress& other) const {
    return family == other.family && v4.s_addr == other.v4.s_addr && std::memcmp(&v6, &other.v6, sizeof v6) == 0;
  }
};

namespace {

constexpr std::size_t kMaxDatagram = 65536;
constexpr int kFairRounds = 64;
alignas(4096) char datagram[kMaxDatagram];

union ControlBuffer {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))];
};

bool same_address(const sockaddr_storage& a, const sockaddr_storage& b) {
  if (a.ss_family != b.ss_family) return false;
  if (a.ss_family == AF_INET) {
    const auto& x = reinterpret_cast<const sockaddr_in&>(a);
    const auto& y = reinterpret_cast<const sockaddr_in&>(b);
    return x.sin_port == y.sin_port && x.sin_addr.s_addr == y.sin_addr.s_addr;
  }
  const auto& x = reinterpret_cast<const sockaddr_in6&>(a);
  const auto& y = reinterpret_cast<const sockaddr_in6&>(b);
  return x.sin6_port == y.sin6_port && x.sin6_scope_id == y.sin6_scope_id &&
         std::memcmp(&x.sin6_addr, &y.sin6_addr, sizeof x.sin6_addr) == 0;
}

LocalAddress local_address(msghdr& message) {
  LocalAddress local;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      local.family = AF_INET;
      local.v4 = info.ipi_spec_dst;
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      local.family = AF_INET6;
      std::memcpy(&local.v6, CMSG_DATA(header), sizeof local.v6);
    }
  }
  return local;
}

template <typename Info>
void put_control(msghdr& message, ControlBuffer& control, int level, int type, const Info& info) {
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
}

}  // namespace

class UdpListener final : public EventHandler {
 public:
  UdpListener(EventLoop& loop, UdpForwards& owner, UniqueFd socket, const ForwardTargets& targets)
      : loop_(loop), owner_(owner), socket_(std::move(socket)), targets_(targets) {
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    ::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    loop_.add(socket_.get(), EPOLLIN, *this);
  }
  ~UdpListener() { loop_.remove(socket_.get(), *this); }

  const ForwardTargets& targets() const { return targets_; }
  int socket() const { return socket_.get(); }
  void reply(std::size_t size, const sockaddr_storage& to, const LocalAddress& from) const;

 private:
  void on_events(std::uint32_t) override;
  bool receive_one();

  EventLoop& loop_;
  UdpForwards& owner_;
  UniqueFd socket_;
  ForwardTargets targets_;
};

// One sender and its socket to the container.
class UdpSession final : public EventHandler {
 public:
  UdpSession(UdpForwards& owner, UdpListener& listener, UniqueFd socket, const sockaddr_storage& sender,
             const LocalAddress& local)
      : owner_(owner), listener_(listener), socket_(std::move(socket)), sender_(sender), local_(local) {
    owner_.loop_.add(socket_.get(), EPOLLIN, *this);
  }
  ~UdpSession() { owner_.loop_.remove(socket_.get(), *this); }

  bool is(const UdpListener& listener, const sockaddr_storage& sender, const LocalAddress& local) const {
    return belongs_to(listener) && same_address(sender_, sender) && local_ == local;
  }
  bool belongs_to(const UdpListener& listener) const { return &listener_ == &listener; }
  // Its socket to the container, if it has the sender's address, cannot be told from another one for this sender.
  bool looks_like(const sockaddr_storage& sender, const ForwardTargets& targets) const;
  // A full queue or a port that nobody has: datagrams get lost, as on any network.
  void send(std::size_t size) const { ::send(socket_.get(), datagram, size, MSG_DONTWAIT | MSG_NOSIGNAL); }

  EventLoop::Clock::time_point last_used{};

 private:
  void on_events(std::uint32_t) override {
    for (int round = 0; round < kFairRounds; ++round) {
      const ssize_t count = ::recv(socket_.get(), datagram, sizeof datagram, MSG_DONTWAIT);
      if (count < 0 && errno == EAGAIN) return;
      if (count < 0) continue;  // ECONNREFUSED of an earlier datagram: told once each
      listener_.reply(static_cast<std::size_t>(count), sender_, local_);
      owner_.used(*this);
    }
  }

  UdpForwards& owner_;
  UdpListener& listener_;
  UniqueFd socket_;
  sockaddr_storage sender_;
  LocalAddress local_;
};

bool UdpSession::looks_like(const sockaddr_storage& sender, const ForwardTargets& targets) const {
  const int family = without_mapping(sender).ss_family;
  return same_address(sender_, sender) &&
         same_address(listener_.targets().target_for(family).address, targets.target_for(family).address);
}

void UdpListener::on_events(std::uint32_t) {
  for (int round = 0; round < kFairRounds && receive_one(); ++round) {
  }
}

bool UdpListener::receive_one() {
  sockaddr_storage sender{};
  iovec part{datagram, sizeof datagram};
  ControlBuffer control{};
  msghdr message{};
  message.msg_name = &sender;
  message.msg_namelen = sizeof sender;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const ssize_t count = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
  if (count < 0) return errno != EAGAIN;
  const LocalAddress local = local_address(message);
  UdpSession* session = owner_.find(*this, sender, local);
  if (session == nullptr) session = owner_.open(*this, sender, local);
  if (session != nullptr) session->send(static_cast<std::size_t>(count));
  return true;
}

void UdpListener::reply(std::size_t size, const sockaddr_storage& to, const LocalAddress& from) const {
  iovec part{datagram, size};
  ControlBuffer control{};
  msghdr message{};
  message.msg_name = const_cast<sockaddr_storage*>(&to);
  message.msg_namelen = to.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (from.family == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst = from.v4;
    put_control(message, control, IPPROTO_IP, IP_PKTINFO, info);
  } else if (from.family == AF_INET6) {
    put_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, from.v6);
  }
  ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

UdpForwards::UdpForwards(EventLoop& loop) : loop_(loop), expiry_(loop, [this] { expire(); }) {}
UdpForwards::~UdpForwards() = default;

void UdpForwards::add(UniqueFd socket, const ForwardTargets& targets) {
  listeners_.push_back(std::make_unique<UdpListener>(loop_, *this, std::move(socket), targets));
}

void UdpForwards::remove_if(const std::function<bool(int socket)>& chosen) {
  std::erase_if(listeners_, [&](const auto& listener) {
    if (!chosen(listener->socket())) return false;
    sessions_.remove_if([&](const auto& session) { return session->belongs_to(*listener); });
    return true;
  });
}

// Newest first: traffic comes in bursts.
UdpSession* UdpForwards::find(UdpListener& listener, const sockaddr_storage& sender, const LocalAddress& local) {
  const auto found = std::find_if(sessions_.rbegin(), sessions_.rend(),
                                  [&](const auto& session) { return session->is(listener, sender, local); });
  if (found == sessions_.rend()) return nullptr;
  UdpSession& session = **found;
  used(session);
  return &session;
}

UdpSession* UdpForwards::open(UdpListener& listener, const sockaddr_storage& sender, const LocalAddress& local) {
  if (sessions_.size() >= kMaxSessions) sessions_.pop_front();
  const bool port_taken = std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& session) {
    return session->looks_like(sender, listener.targets());
  });
  UniqueFd socket = sockets_.connect(SOCK_DGRAM, listener.targets(), sender, port_taken);
  if (!socket) return nullptr;
  sessions_.push_back(std::make_unique<UdpSession>(*this, listener, std::move(socket), sender, local));
  sessions_.back()->last_used = EventLoop::Clock::now();
  if (!expiry_.armed()) expiry_.arm(kSessionIdle);
  return sessions_.back().get();
}

void UdpForwards::used(UdpSession& session) {
  session.last_used = EventLoop::Clock::now();
  if (sessions_.back().get() == &session) return;
  const auto at = std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.get() == &session; });
  sessions_.splice(sessions_.end(), sessions_, at);
}

void UdpForwards::expire() {
  const auto oldest = EventLoop::Clock::now() - kSessionIdle;
  while (!sessions_.empty() && sessions_.front()->last_used <= oldest) sessions_.pop_front();
  if (!sessions_.empty()) expiry_.arm(kSessionIdle / 4);
}

}  // namespace bryo::monitor

#include "monitor/forward_tcp.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kRound = 1024 * 1024;
// Rounds before the others get their turn.
constexpr int kFairRounds = 16;
constexpr std::chrono::milliseconds kRetry{100};

void set_option(int socket, int level, int name) {
  const int on = 1;
  ::setsockopt(socket, level, name, &on, sizeof on);
}

bool is_exhaustion(int number) { return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS; }

}  // namespace

class TcpListener final : public EventHandler {
 public:
  TcpListener(EventLoop& loop, TcpForwards& owner, UniqueFd socket, const ForwardTargets& targets)
      : loop_(loop), owner_(owner), socket_(std::move(socket)), targets_(targets) {
    if (::fcntl(socket_.get(), F_SETFL, O_NONBLOCK) < 0) fail_errno("make a published port non-blocking");
    set_accepting(true);
  }
  ~TcpListener() { set_accepting(false); }

  void set_accepting(bool accepting) {
    if (accepting == accepting_) return;
    accepting_ = accepting;
    if (accepting)
      loop_.add(socket_.get(), EPOLLIN, *this);
    else
      loop_.remove(socket_.get(), *this);
  }
  // Empty when nobody waits; errno says why.
  UniqueFd accept(sockaddr_storage& client) {
    socklen_t size = sizeof client;
    return UniqueFd(
        ::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&client), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }
  const ForwardTargets& targets() const { return targets_; }
  int socket() const { return socket_.get(); }

 private:
  void on_events(std::uint32_t) override { owner_.accept_from(*this); }

  EventLoop& loop_;
  TcpForwards& owner_;
  UniqueFd socket_;
  ForwardTargets targets_;
  bool accepting_ = false;
};

// Two sockets and what is on its way between them. Edge-triggered: every event pumps both ways until both block.
class TcpConnection final : public EventHandler {
 public:
  TcpConnection(EventLoop& loop, TcpForwards& owner, UniqueFd client, UniqueFd target)
      : loop_(loop), owner_(owner), sockets_{std::move(client), std::move(target)} {
    for (const UniqueFd& socket : sockets_) {
      set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY);
      set_option(socket.get(), SOL_SOCKET, SO_KEEPALIVE);
      loop_.add(socket.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this);
    }
  }
  ~TcpConnection() {
    for (const UniqueFd& socket : sockets_) loop_.remove(socket.get(), *this);
  }
  bool dead() const { return dead_; }

 private:
  enum class Step { moved, blocked, failed };

  // One direction: from sockets_[side] to the other.
  struct Direction {
    SplicePipe pipe;
    bool end_of_input = false;
    bool shut = false;
  };

  void on_events(std::uint32_t) override;
  Step pump(std::size_t side);
  Step fill(std::size_t side);
  Step empty(std::size_t side);
  void die();

  EventLoop& loop_;
  TcpForwards& owner_;
  std::array<UniqueFd, 2> sockets_;
  std::array<Direction, 2> directions_;
  bool dead_ = false;
};

void TcpConnection::on_events(std::uint32_t) {
  if (dead_) return;
  for (int round = 0; round < kFairRounds; ++round) {
    const Step there = pump(0);
    const Step back = pump(1);
    if (there == Step::failed || back == Step::failed || (directions_[0].shut && directions_[1].shut)) {
      die();
      return;
    }
    if (there == Step::blocked && back == Step::blocked) return;
  }
  // Still more: setting the same mask again makes epoll tell once more.
  for (const UniqueFd& socket : sockets_) loop_.change(socket.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this);
}

TcpConnection::Step TcpConnection::pump(std::size_t side) {
  Direction& direction = directions_[side];
  if (direction.shut) return Step::blocked;
  const Step filled = fill(side);
  if (filled == Step::failed) return filled;
  const Step emptied = empty(side);
  if (emptied == Step::failed) return emptied;
  if (direction.pipe && direction.pipe.filled == 0) owner_.pipes_.give_back(std::move(direction.pipe));
  if (direction.end_of_input && !direction.pipe) {
    ::shutdown(sockets_[1 - side].get(), SHUT_WR);
    direction.shut = true;
    return Step::moved;
  }
  return filled == Step::moved || emptied == Step::moved ? Step::moved : Step::blocked;
}

TcpConnection::Step TcpConnection::fill(std::size_t side) {
  Direction& direction = directions_[side];
  if (direction.end_of_input || (direction.pipe && direction.pipe.filled > 0)) return Step::blocked;
  if (!direction.pipe) direction.pipe = owner_.pipes_.take();
  if (!direction.pipe) return Step::failed;
  const ssize_t count = ::splice(sockets_[side].get(), nullptr, direction.pipe.write.get(), nullptr, kRound,
                                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count > 0) {
    direction.pipe.filled = static_cast<std::size_t>(count);
    return Step::moved;
  }
  if (count == 0) {
    direction.end_of_input = true;
    return Step::moved;
  }
  // ENOTCONN: the target has not answered yet.
  return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? Step::blocked : Step::failed;
}

TcpConnection::Step TcpConnection::empty(std::size_t side) {
  SplicePipe& pipe = directions_[side].pipe;
  Step result = Step::blocked;
  while (pipe && pipe.filled > 0) {
    const ssize_t count = ::splice(pipe.read.get(), nullptr, sockets_[1 - side].get(), nullptr, pipe.filled,
                                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count <= 0)
      return count < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) ? result : Step::failed;
    pipe.filled -= static_cast<std::size_t>(count);
    result = Step::moved;
  }
  return result;
}

void TcpConnection::die() {
  dead_ = true;
  owner_.finished();
}

TcpForwards::TcpForwards(EventLoop& loop)
    : loop_(loop), retry_(loop, [this] { resume_accepting(); }), burial_(loop, [this] { bury(); }) {}

TcpForwards::~TcpForwards() = default;

void TcpForwards::add(UniqueFd listener, const ForwardTargets& targets) {
  listeners_.push_back(std::make_unique<TcpListener>(loop_, *this, std::move(listener), targets));
}

void TcpForwards::remove_if(const std::function<bool(int socket)>& chosen) {
  for (const auto& listener : listeners_)
    if (chosen(listener->socket())) accept_from(*listener);
  std::erase_if(listeners_, [&](const auto& listener) { return chosen(listener->socket()); });
}

void TcpForwards::stop_listening() {
  retry_.disarm();
  listeners_.clear();
}

void TcpForwards::accept_from(TcpListener& listener) {
  while (connections_.size() < kMaxConnections) {
    sockaddr_storage client_address{};
    UniqueFd client = listener.accept(client_address);
    if (!client && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!client && errno == EAGAIN) return;
    UniqueFd server = client ? sockets_.connect(SOCK_STREAM, listener.targets(), client_address) : UniqueFd();
    if (!client || (!server && is_exhaustion(errno))) {
      pause_accepting();
      return;
    }
    if (!server) continue;
    if (is_loopback(client_address)) expect_no_loss(client.get());
    connections_.push_back(std::make_unique<TcpConnection>(loop_, *this, std::move(client), std::move(server)));
  }
  pause_accepting();
}

void TcpForwards::pause_accepting() {
  for (const auto& listener : listeners_) listener->set_accepting(false);
  retry_.arm(kRetry);
}

void TcpForwards::resume_accepting() {
  for (const auto& listener : listeners_) listener->set_accepting(true);
}

void TcpForwards::finished() { burial_.arm(std::chrono::milliseconds(0)); }

void TcpForwards::bury() {
  std::erase_if(connections_, [](const auto& connection) { return connection->dead(); });
}

}  // namespace bryo::monitor

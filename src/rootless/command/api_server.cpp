#include "rootless/command/api_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace bryo::rootless::command {
namespace {

constexpr std::size_t kMaxConnections = 128;
constexpr std::size_t kMaxUnsent = 1U << 20;

UniqueFd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);  // StateDirectory keeps it short
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail_errno("make the API's socket");
  // Nobody but us may enter the directory; the mode of the socket says the same.
  ::unlink(path.c_str());
  const mode_t before = ::umask(0177);
  const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int number = errno;
  ::umask(before);
  if (bound != 0) throw Error::from_errno(number, "make the API's socket " + path);
  if (::listen(socket.get(), SOMAXCONN) != 0) fail_errno("listen at {}", path);
  return socket;
}

}  // namespace

class ApiConnection final : public monitor::EventHandler {
 public:
  ApiConnection(ApiServer& server, UniqueFd socket) : server_(server), socket_(std::move(socket)) {
    server_.loop_.add(socket_.get(), EPOLLIN, *this);
  }
  ~ApiConnection() { server_.loop_.remove(socket_.get(), *this); }
  bool dead() const { return dead_; }

 private:
  void on_events(std::uint32_t events) override {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
    write();
  }
  void read();
  void write();
  void die();

  ApiServer& server_;
  UniqueFd socket_;
  HttpReader reader_;
  std::string unsent_;
  bool last_ = false;  // nothing is read any more
  bool dead_ = false;
};

void ApiConnection::read() {
  std::array<char, 8192> bytes{};
  const ssize_t size = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return die();
  if (last_) return;
  try {
    reader_.feed({bytes.data(), static_cast<std::size_t>(size)});
    while (const auto request = reader_.take()) {
      unsent_ += to_bytes(server_.api_.answer(*request), request->keep_alive);
      last_ = last_ || !request->keep_alive;
      if (unsent_.size() > kMaxUnsent) return die();  // asks, and does not read the answers
    }
  } catch (const Error& error) {
    unsent_ += to_bytes({400, error.message() + "\n"}, false);
    last_ = true;
  }
}

void ApiConnection::write() {
  while (!dead_ && !unsent_.empty()) {
    const ssize_t sent = ::send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return die();
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  if (dead_) return;
  if (unsent_.empty() && last_) return die();
  server_.loop_.change(socket_.get(), unsent_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT, *this);
}

void ApiConnection::die() {
  dead_ = true;
  server_.burial_.arm(std::chrono::milliseconds(0));
}

ApiServer::ApiServer(monitor::EventLoop& loop, const std::string& path, Api& api)
    : loop_(loop), api_(api), listener_(listen_at(path)), burial_(loop, [this] { bury(); }) {
  loop_.add(listener_.get(), EPOLLIN, *this);
}

ApiServer::~ApiServer() { loop_.remove(listener_.get(), *this); }

void ApiServer::on_events(std::uint32_t) {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  // Over the limit it is closed at once.
  if (socket && connections_.size() < kMaxConnections)
    connections_.push_back(std::make_unique<ApiConnection>(*this, std::move(socket)));
}

void ApiServer::bury() {
  std::erase_if(connections_, [](const auto& connection) { return connection->dead(); });
}

}  // namespace bryo::rootless::command

#include "cli/http/transport.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace bryo::cli {
namespace {

constexpr int kConnectTimeoutMs = 30'000;

void wait_for(int fd, short events) {
  pollfd entry{fd, events, 0};
  while (::poll(&entry, 1, -1) < 0)
    if (errno != EINTR) fail_errno("poll the connection to the daemon");
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(UniqueFd socket) : socket_(std::move(socket)) {}

  std::optional<std::size_t> try_read(std::span<char> into) override {
    while (true) {
      const ssize_t got = ::recv(socket_.get(), into.data(), into.size(), 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EAGAIN) return std::nullopt;
      if (errno == ECONNRESET) return 0;
      if (errno != EINTR) fail_errno("error during connect: read from the daemon");
    }
  }

  std::optional<std::size_t> try_write(std::string_view bytes) override {
    while (true) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) return static_cast<std::size_t>(sent);
      if (errno == EAGAIN) return std::nullopt;
      if (errno != EINTR) fail_errno("error during connect: write to the daemon");
    }
  }

  void finish_writing() override { ::shutdown(socket_.get(), SHUT_WR); }
  int fd() const override { return socket_.get(); }

 private:
  UniqueFd socket_;
};

[[noreturn]] void cannot_connect(const Endpoint& endpoint, int number) {
  if (number == EACCES || number == EPERM)
    fail(ErrorKind::permission,
         "permission denied while trying to connect to the Docker daemon socket at {}: {}; run as a user who may use "
         "it, "
         "or choose another with -H",
         endpoint.text, std::strerror(number));
  fail(ErrorKind::unavailable, "Cannot connect to the Docker daemon at {}. Is the docker daemon running? (bryod: {})",
       endpoint.text, std::strerror(number));
}

UniqueFd connect_unix(const Endpoint& endpoint) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  endpoint.path.copy(address.sun_path, sizeof address.sun_path - 1);
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    if (errno != EINTR) cannot_connect(endpoint, errno);
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

// errno of the attempt, 0 when connected.
int connect_address(const addrinfo& address, UniqueFd& out) {
  UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return errno;
    pollfd entry{fd.get(), POLLOUT, 0};
    if (::poll(&entry, 1, kConnectTimeoutMs) == 0) return ETIMEDOUT;
    int number = 0;
    socklen_t size = sizeof number;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &number, &size);
    if (number != 0) return number;
  }
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  out = std::move(fd);
  return 0;
}

UniqueFd connect_tcp(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int problem = ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
  if (problem != 0)
    fail(ErrorKind::unavailable, "error during connect: look up {}: {}", endpoint.host, ::gai_strerror(problem));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  UniqueFd fd;
  int number = ENETUNREACH;
  for (const addrinfo* address = list; address != nullptr && !fd; address = address->ai_next)
    number = connect_address(*address, fd);
  if (!fd) cannot_connect(endpoint, number);
  return fd;
}

}  // namespace

std::size_t Transport::read(std::span<char> into) {
  while (true) {
    if (const auto got = try_read(into)) return *got;
    wait_for(fd(), POLLIN);
  }
}

void Transport::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (const auto sent = try_write(bytes))
      bytes.remove_prefix(*sent);
    else
      wait_for(fd(), POLLOUT);
  }
}

std::unique_ptr<Transport> plain_transport(UniqueFd socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

std::unique_ptr<Transport> connect(const Endpoint& endpoint, const TlsOptions& tls) {
  UniqueFd socket = endpoint.kind == Endpoint::Kind::unix_socket ? connect_unix(endpoint) : connect_tcp(endpoint);
  if (tls.enabled && endpoint.kind == Endpoint::Kind::tcp) return tls_transport(std::move(socket), endpoint, tls);
  return plain_transport(std::move(socket));
}

}  // namespace bryo::cli

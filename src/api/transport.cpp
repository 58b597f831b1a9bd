#include "api/transport.hpp"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <vector>

#include "api/tls_context.hpp"

namespace bryo::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

constexpr std::size_t kReadSize = 64 << 10;

Socket adopt(asio::io_context& loop, UniqueFd fd) {
  int domain = AF_UNIX;
  socklen_t length = sizeof domain;
  getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length);
  return Socket(loop, asio::generic::stream_protocol(domain, 0), fd.release());
}

bool both_directions_closed(Socket& socket) {
  pollfd entry{socket.native_handle(), 0, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

asio::awaitable<void> wait_hung_up(Socket& socket) {
  while (socket.is_open() && !both_directions_closed(socket)) {
    error_code error;
    co_await socket.async_wait(Socket::wait_error, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
  }
}

// Reads and writes are tried at once and only wait when the kernel says so: one request on a warm connection costs two
// system calls and one wake-up. The scratch buffer is shared by all connections of the loop's thread.
// On the heap of the threads that read: as thread-local storage every thread of the engine would carry it.
std::array<char, kReadSize>& scratch_of_this_thread() {
  static thread_local const auto scratch = std::make_unique_for_overwrite<std::array<char, kReadSize>>();
  return *scratch;
}

class PlainTransport final : public Transport {
 public:
  PlainTransport(asio::io_context& loop, UniqueFd fd) : socket_(adopt(loop, std::move(fd))) {
    error_code ignored;
    socket_.native_non_blocking(true, ignored);
  }

  asio::awaitable<bool> handshake() override { co_return true; }

  asio::awaitable<std::size_t> read(std::string& into) override {
    std::array<char, kReadSize>& scratch = scratch_of_this_thread();
    while (socket_.is_open()) {
      const ssize_t got = ::recv(socket_.native_handle(), scratch.data(), scratch.size(), MSG_DONTWAIT);
      if (got > 0) {
        into.append(scratch.data(), static_cast<std::size_t>(got));
        co_return static_cast<std::size_t>(got);
      }
      if (got < 0 && errno == EINTR) continue;
      if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) co_return 0;
      error_code error;
      co_await socket_.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return 0;
    }
    co_return 0;
  }

  asio::awaitable<bool> write(std::string_view first, std::string_view second) override {
    while (!first.empty() || !second.empty()) {
      if (!socket_.is_open()) co_return false;
      const ssize_t sent = send_now(first, second);
      if (sent >= 0) {
        const auto count = static_cast<std::size_t>(sent);
        const std::size_t of_first = std::min(count, first.size());
        first.remove_prefix(of_first);
        second.remove_prefix(count - of_first);
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) co_return false;
      error_code error;
      co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return false;
    }
    co_return true;
  }

  // SIOCOUTQ counts for unix(7) what lies in the peer's queue, and for tcp(7) what its kernel has not acknowledged.
  std::optional<std::size_t> unread() const override {
    auto& socket = const_cast<Socket&>(socket_);
    if (!socket.is_open()) return 0;
    int bytes = 0;
    if (socket.local_endpoint().protocol().family() != AF_UNIX) return std::nullopt;
    if (::ioctl(socket.native_handle(), SIOCOUTQ, &bytes) != 0) return std::nullopt;
    return static_cast<std::size_t>(bytes);
  }

  asio::awaitable<void> finish() override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    co_return;
  }

  asio::awaitable<void> hung_up() override { co_await wait_hung_up(socket_); }

  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  ssize_t send_now(std::string_view first, std::string_view second) {
    std::array<iovec, 2> pieces{
        {{const_cast<char*>(first.data()), first.size()}, {const_cast<char*>(second.data()), second.size()}}};
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  Socket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(asio::io_context& loop, UniqueFd fd, TlsContext& context)
      : stream_(adopt(loop, std::move(fd)), context.asio()), scratch_(kTlsRecord) {}

  asio::awaitable<bool> handshake() override {
    error_code error;
    co_await socket().async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
    char first = 0;
    if (!error && ::recv(socket().native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && first != kHandshake) {
      // The text is Go's: the docker client recognises it and says what to do.
      const std::string_view advice =
          "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
      ::send(socket().native_handle(), advice.data(), advice.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      co_return false;
    }
    if (!error)
      co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                       asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }

  asio::awaitable<std::size_t> read(std::string& into) override {
    error_code error;
    const std::size_t got =
        co_await stream_.async_read_some(asio::buffer(scratch_), asio::redirect_error(asio::use_awaitable, error));
    into.append(scratch_.data(), got);
    co_return got;
  }

  asio::awaitable<bool> write(std::string_view first, std::string_view second) override {
    // One buffer, so that head and body share a TLS record.
    std::string joined;
    joined.reserve(first.size() + second.size());
    joined.append(first).append(second);
    error_code error;
    co_await asio::async_write(stream_, asio::buffer(joined), asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }

  std::optional<std::size_t> unread() const override { return std::nullopt; }

  asio::awaitable<void> finish() override {
    // Without close_notify a client reports "unexpected EOF" at the end of a raw stream.
    error_code ignored;
    co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
  }

  asio::awaitable<void> hung_up() override { co_await wait_hung_up(socket()); }

  void close() override {
    error_code ignored;
    socket().close(ignored);
  }

 private:
  static constexpr char kHandshake = 0x16;  // the first byte of a TLS ClientHello record
  static constexpr std::size_t kTlsRecord = 16 << 10;

  Socket& socket() { return stream_.next_layer(); }

  asio::ssl::stream<Socket> stream_;
  std::vector<char> scratch_;
};

}  // namespace

std::unique_ptr<Transport> plain_transport(asio::io_context& loop, UniqueFd socket) {
  return std::make_unique<PlainTransport>(loop, std::move(socket));
}

std::unique_ptr<Transport> tls_transport(asio::io_context& loop, UniqueFd socket, TlsContext& context) {
  return std::make_unique<TlsTransport>(loop, std::move(socket), context);
}

}  // namespace bryo::api

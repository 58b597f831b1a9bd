// The bytes of one connection, plain or through TLS. Event loop only; private to the server (this header brings Asio).
//
// At most one read and one write are under way at a time. close() makes both end soon, as if the peer had gone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::api {

class TlsContext;

class Transport {
 public:
  virtual ~Transport() = default;
  // false: close the connection.
  virtual boost::asio::awaitable<bool> handshake() = 0;
  // Appends at least one byte and at most about 64 KiB; 0 at the end or on any error.
  virtual boost::asio::awaitable<std::size_t> read(std::string& into) = 0;
  // All of both pieces; false when the peer has gone.
  virtual boost::asio::awaitable<bool> write(std::string_view first, std::string_view second) = 0;
  // How many bytes the peer has not read yet; nothing where the kernel cannot tell (all but unix sockets).
  virtual std::optional<std::size_t> unread() const = 0;
  // Tells the peer that nothing more comes. Through TLS it waits for the peer's answer: set a deadline before.
  virtual boost::asio::awaitable<void> finish() = 0;
  // Ends when the peer has closed both directions (after read() has given 0), or on close().
  virtual boost::asio::awaitable<void> hung_up() = 0;
  virtual void close() = 0;
};

std::unique_ptr<Transport> plain_transport(boost::asio::io_context& loop, UniqueFd socket);
std::unique_ptr<Transport> tls_transport(boost::asio::io_context& loop, UniqueFd socket, TlsContext& context);

}  // namespace bryo::api

// One client's connection: requests in, replies out, one at a time. Event loop only. Private to the server (brings
// Asio).
//
// Three coroutines at most: serve() parses, dispatches and writes; read_loop() is the only reader, so a client that
// goes is noticed while its handler works; and, while a body or a hijacked stream flows from the client, a pump.
// All of them hold the connection; it ends when they have ended.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "api/event.hpp"
#include "api/exchange.hpp"
#include "api/server_core.hpp"
#include "api/transport.hpp"

namespace bryo::api {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(ServerCore& core, std::unique_ptr<Transport> transport, Peer peer);
  ~Connection();

  asio::awaitable<void> serve();
  // Closes the socket: everything that waits ends soon.
  void abort();
  // Between requests, or with a request whose head is not complete.
  bool waiting() const { return waiting_; }
  Clock::time_point deadline() const { return deadline_; }

 private:
  struct Bridge;  // the engine's end of a hijacked stream
  enum class Framing { length, chunked, until_close, none };

  // connection.cpp: requests
  asio::awaitable<void> serve_requests();
  asio::awaitable<void> read_loop();
  asio::awaitable<bool> serve_one();
  asio::awaitable<bool> read_head(MessageParser& parser);
  asio::awaitable<bool> read_whole_body(Exchange& exchange);
  asio::awaitable<void> feed_body(std::shared_ptr<Exchange> exchange);
  asio::awaitable<void> stop_feeding();
  asio::awaitable<bool> start_streamed_body(std::shared_ptr<Exchange> exchange);
  asio::awaitable<bool> run_handler(std::shared_ptr<Exchange> exchange);
  asio::awaitable<void> refuse(int status, std::string_view message);
  asio::awaitable<void> say_goodbye();
  std::optional<Reply> find_route(Exchange& exchange);
  void consume(std::size_t count);
  void allow(std::chrono::milliseconds time);
  void allow_any_time() { deadline_ = Clock::time_point::max(); }

  // connection_replies.cpp: replies. Each gives false when the connection cannot go on.
  asio::awaitable<bool> send_reply(std::shared_ptr<Exchange> exchange);
  asio::awaitable<bool> send_text(const Reply& reply, const std::string& body);
  asio::awaitable<bool> send_stream(std::shared_ptr<Exchange> exchange);
  asio::awaitable<bool> send_relay(Exchange& exchange, UniqueFd fd);
  asio::awaitable<bool> send_later(std::shared_ptr<Exchange> exchange);
  asio::awaitable<void> settle(const std::function<bool()>& settled);
  asio::awaitable<void> head_was_read();
  asio::awaitable<bool> send_hijack(Exchange& exchange, Reply::Hijack hijack);
  asio::awaitable<void> pump_to_engine(std::shared_ptr<Bridge> bridge);
  asio::awaitable<bool> send_piece(std::string& piece);
  asio::awaitable<bool> send_last_piece();
  std::string head_of(const Reply& reply, const Headers& more, Framing framing, std::size_t length) const;
  std::string hijack_head(const Exchange& exchange) const;
  Framing stream_framing() const { return http_1_0_ ? Framing::until_close : Framing::chunked; }

  ServerCore& core_;
  const std::weak_ptr<ServerCore*> core_alive_;
  std::unique_ptr<Transport> transport_;
  const Peer peer_;

  std::string in_;  // received, not yet consumed
  bool eof_ = false;
  bool closed_ = false;  // by abort()
  Event data_;           // in_ has grown, or eof_
  Event space_;          // in_ has shrunk

  std::shared_ptr<Exchange> current_;   // whose client goes when eof_ comes
  std::function<void()> abort_stream_;  // ends the wait for a descriptor, when eof_ comes
  bool feeding_ = false;
  bool stop_feeding_ = false;
  Event fed_;

  bool waiting_ = true;
  bool first_ = true;
  bool keep_alive_ = true;
  bool body_unread_ = false;  // the client may still be sending: linger before closing
  bool http_1_0_ = false;
  bool head_request_ = false;
  Clock::time_point deadline_ = Clock::time_point::max();
};

}  // namespace bryo::api

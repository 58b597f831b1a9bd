#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <ctime>

#include "api/connection.hpp"
#include "api/detach_keys.hpp"
#include "api/errors.hpp"

namespace bryo::api {
namespace {

using boost::system::error_code;
using Descriptor = asio::posix::stream_descriptor;

constexpr std::size_t kPieceSize = 64 << 10;

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, length};
}

bool has_no_body(int status) { return status == 204 || status == 304 || status < 200; }

}  // namespace

struct Connection::Bridge {
  Bridge(asio::io_context& loop, Reply::Hijack hijack)
      : fd(loop, hijack.fd.release()),
        detach(std::move(hijack.detach_keys)),
        framed(hijack.framed),
        settled(std::move(hijack.settled)),
        detached(std::move(hijack.detached)) {}
  Descriptor fd;
  DetachScanner detach;
  bool framed;
  std::function<bool()> settled;
  std::function<void()> detached;
};

std::string Connection::head_of(const Reply& reply, const Headers& more, Framing framing, std::size_t length) const {
  std::string head = fmt::format("HTTP/1.{} {} {}\r\n", http_1_0_ ? 0 : 1, reply.status, reason_phrase(reply.status));
  head += core_.common_headers;
  for (const Headers* headers : {&reply.headers, &more})
    for (const auto& [name, value] : headers->items()) ((head += name) += ": ") += value + "\r\n";
  if (!reply.content_type.empty()) ((head += "Content-Type: ") += reply.content_type) += "\r\n";
  ((head += "Date: ") += http_date()) += "\r\n";
  if (framing == Framing::length) head += fmt::format("Content-Length: {}\r\n", length);
  if (framing == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_ || framing == Framing::until_close) head += "Connection: close\r\n";
  return head += "\r\n";
}

asio::awaitable<bool> Connection::send_reply(std::shared_ptr<Exchange> exchange) {
  Reply& reply = exchange->reply;
  if (std::holds_alternative<Reply::Stream>(reply.body)) co_return co_await send_stream(exchange);
  if (std::holds_alternative<Reply::Later>(reply.body)) co_return co_await send_later(exchange);
  if (auto* relay = std::get_if<Reply::Relay>(&reply.body))
    co_return co_await send_relay(*exchange, std::move(relay->fd));
  if (auto* hijack = std::get_if<Reply::Hijack>(&reply.body))
    co_return co_await send_hijack(*exchange, std::move(*hijack));
  allow(core_.options.write_time);
  co_return co_await send_text(reply, std::get<std::string>(reply.body));
}

asio::awaitable<bool> Connection::send_text(const Reply& reply, const std::string& body) {
  const bool bare = has_no_body(reply.status);
  const std::string head = head_of(reply, {}, bare ? Framing::none : Framing::length, body.size());
  const std::string_view sent_body = bare || head_request_ ? std::string_view() : std::string_view(body);
  co_return co_await transport_->write(head, sent_body);
}

asio::awaitable<bool> Connection::send_piece(std::string& piece) {
  if (http_1_0_) co_return co_await transport_->write(piece, "");
  const std::string size = fmt::format("{:x}\r\n", piece.size());
  piece += "\r\n";
  co_return co_await transport_->write(size, piece);
}

asio::awaitable<bool> Connection::send_last_piece() {
  if (http_1_0_) co_return false;  // closing is the end of the body
  co_return co_await transport_->write("0\r\n\r\n", "");
}

asio::awaitable<bool> Connection::send_stream(std::shared_ptr<Exchange> exchange) {
  BodyOutlet& outlet = exchange->outlet;
  const std::string head = head_of(exchange->reply, outlet.headers(), stream_framing(), 0);
  bool alive = co_await transport_->write(head, "");
  std::string piece;
  auto state = BodyOutlet::State::started;
  while (alive) {
    state = outlet.take(piece);
    if (!piece.empty())
      alive = co_await send_piece(piece);
    else if (state == BodyOutlet::State::finished || state == BodyOutlet::State::failed)
      break;
    else
      co_await exchange->wake.wait();
  }
  if (!alive) outlet.abandon();
  while (!exchange->settled()) co_await exchange->wake.wait();
  if (!alive || state == BodyOutlet::State::failed) {
    transport_->close();
    co_return false;
  }
  co_return co_await send_last_piece();
}

asio::awaitable<bool> Connection::send_relay(Exchange& exchange, UniqueFd fd) {
  Descriptor source(core_.loop, fd.release());
  abort_stream_ = [&source] {
    error_code ignored;
    source.close(ignored);
  };
  const std::string head = head_of(exchange.reply, {}, stream_framing(), 0);
  bool alive = co_await transport_->write(head, "");
  std::string piece;
  while (alive && source.is_open()) {
    piece.resize(kPieceSize);
    error_code error;
    const std::size_t got =
        co_await source.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
    if (error || got == 0) break;
    piece.resize(got);
    alive = co_await send_piece(piece);
  }
  abort_stream_ = nullptr;
  if (!alive) co_return false;
  co_return co_await send_last_piece();
}

asio::awaitable<bool> Connection::send_later(std::shared_ptr<Exchange> exchange) {
  const auto& later = std::get<Reply::Later>(exchange->reply.body);
  bool alive = true;
  if (later.headers_first) {
    const std::string head = head_of(exchange->reply, {}, stream_framing(), 0);
    alive = co_await transport_->write(head, "");
  }
  std::optional<std::string> text = exchange->later_text();
  while (alive && !text && !exchange->gone()) {
    co_await exchange->wake.wait();
    text = exchange->later_text();
  }
  // Withdrawing may wait for a lock of the engine, so not on this thread.
  core_.pool.post([ticket = std::move(exchange->ticket)] {});
  if (!alive || !text) co_return false;
  if (!later.headers_first) co_return co_await send_text(exchange->reply, *text);
  if (!text->empty()) alive = co_await send_piece(*text);
  if (!alive) co_return false;
  co_return co_await send_last_piece();
}

std::string Connection::hijack_head(const Exchange& exchange) const {
  const bool upgrade = exchange.request.upgrade;
  std::string head = upgrade ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n";
  ((head += "Content-Type: ") += exchange.reply.content_type) += "\r\n";
  if (upgrade) head += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  head += core_.common_headers;
  return head += "\r\n";
}

// Clients that read the head through a buffer and the stream past it (docker-py, dockerode) lose what comes together
// with the head. dockerd takes so long to start a process that they never notice.
asio::awaitable<void> Connection::head_was_read() {
  constexpr std::chrono::microseconds kFirstPause(50), kLongestPause(20000);
  constexpr std::chrono::microseconds kUntold(10000);  // for sockets that do not say what was read
  asio::steady_timer timer(core_.loop);
  for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const auto unread = transport_->unread();
    if (unread == 0U) co_return;
    timer.expires_after(unread ? pause : kUntold);
    error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (!unread) co_return;
  }
}

asio::awaitable<bool> Connection::send_hijack(Exchange& exchange, Reply::Hijack hijack) {
  current_.reset();  // from here on, the client's end of file is only the end of its input
  const auto bridge = std::make_shared<Bridge>(core_.loop, std::move(hijack));
  const std::string head = hijack_head(exchange);
  bool alive = co_await transport_->write(head, "");
  asio::co_spawn(
      core_.loop, [self = shared_from_this(), bridge] { return self->pump_to_engine(bridge); }, asio::detached);
  std::string piece;
  bool head_read = false;
  while (alive && bridge->fd.is_open()) {
    piece.resize(kPieceSize);
    error_code error;
    const std::size_t got =
        co_await bridge->fd.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
    if (error || got == 0) break;
    if (!std::exchange(head_read, true)) co_await head_was_read();
    const std::string frame = bridge->framed ? output_frame_head(got) : "";
    alive = co_await transport_->write(frame, std::string_view(piece).substr(0, got));
  }
  if (bridge->settled && alive && bridge->fd.is_open()) co_await settle(bridge->settled);
  error_code ignored;
  bridge->fd.close(ignored);
  data_.set();
  co_return false;
}

// The end of a stream and the news of an exit come to us by different ways, a moment apart.
asio::awaitable<void> Connection::settle(const std::function<bool()>& settled) {
  constexpr auto kPause = std::chrono::microseconds(50);
  constexpr auto kPatience = std::chrono::milliseconds(500);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  asio::steady_timer timer(core_.loop);
  while (!settled() && std::chrono::steady_clock::now() < deadline) {
    timer.expires_after(kPause);
    error_code error;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

asio::awaitable<void> Connection::pump_to_engine(std::shared_ptr<Bridge> bridge) {
  const auto self = shared_from_this();
  bool writable = true;
  while (bridge->fd.is_open()) {
    if (in_.empty()) {
      if (eof_) break;
      co_await data_.wait();
      continue;
    }
    const std::string piece = bridge->detach.filter(std::exchange(in_, {}));
    space_.set();
    if (!writable || piece.empty()) {  // a process that closed its input may still have output
      if (bridge->detach.detached()) break;
      continue;
    }
    error_code error;
    co_await asio::async_write(bridge->fd, asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
    writable = !error;
    if (bridge->detach.detached()) break;
  }
  if (!bridge->fd.is_open()) co_return;
  if (bridge->detach.detached()) {
    if (bridge->detached) bridge->detached();
  } else {
    ::shutdown(bridge->fd.native_handle(), SHUT_WR);
    co_await transport_->hung_up();
  }
  error_code ignored;
  bridge->fd.close(ignored);
}

}  // namespace bryo::api

#include "api/connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "api/browser_guard.hpp"
#include "api/errors.hpp"
#include "base/log.hpp"

namespace bryo::api {
namespace {

constexpr std::size_t kReadAhead = 128 << 10;
constexpr std::size_t kMostDiscarded = 4 << 20;

Error gone_error() {
  return Error(ErrorKind::cancelled, "the client closed the connection before the end of its request");
}

}  // namespace

Connection::Connection(ServerCore& core, std::unique_ptr<Transport> transport, Peer peer)
    : core_(core),
      core_alive_(core.alive),
      transport_(std::move(transport)),
      peer_(peer),
      data_(core.loop),
      space_(core.loop),
      fed_(core.loop) {
  allow(core_.options.head_time);
}

Connection::~Connection() {
  if (const auto core = core_alive_.lock()) (*core)->forget(this);
}

void Connection::allow(std::chrono::milliseconds time) {
  deadline_ = Clock::now() + time;
  core_.sweep_by(deadline_);
}

void Connection::abort() {
  keep_alive_ = false;
  waiting_ = false;
  closed_ = true;
  transport_->close();
  space_.set();
  data_.set();
}

asio::awaitable<void> Connection::serve() {
  const auto self = shared_from_this();
  try {
    if (co_await transport_->handshake()) {
      asio::co_spawn(
          core_.loop, [self] { return self->read_loop(); }, asio::detached);
      co_await serve_requests();
    }
  } catch (const std::exception& error) {
    log::error("connection ended by an internal error: {}", error.what());
  }
  abort();
}

asio::awaitable<void> Connection::serve_requests() {
  bool more = true;
  while (more) more = co_await serve_one();
  co_await say_goodbye();
}

asio::awaitable<void> Connection::read_loop() {
  const auto self = shared_from_this();
  while (true) {
    while (in_.size() >= kReadAhead && !closed_) co_await space_.wait();
    const std::size_t got = co_await transport_->read(in_);
    if (got == 0) break;
    data_.set();
  }
  eof_ = true;
  if (current_) current_->client_gone();
  if (abort_stream_) abort_stream_();
  data_.set();
}

void Connection::consume(std::size_t count) {
  if (count == 0) return;
  in_.erase(0, count);
  space_.set();
}

asio::awaitable<bool> Connection::read_head(MessageParser& parser) {
  waiting_ = true;
  allow(first_ ? core_.options.head_time : core_.options.idle_time);
  bool begun = first_;
  first_ = false;
  while (true) {
    if (!in_.empty()) {
      std::size_t used = 0;
      std::optional<ProtocolError> refusal;
      try {
        used = parser.read_head(in_);
      } catch (const ProtocolError& error) {
        refusal = error;
      }
      if (refusal) {
        body_unread_ = true;
        co_await refuse(refusal->status(), refusal->what());
        co_return false;
      }
      consume(used);
      if (used > 0) break;
      if (!std::exchange(begun, true)) allow(core_.options.head_time);
    }
    if (eof_) co_return false;
    co_await data_.wait();
  }
  waiting_ = false;
  allow_any_time();
  co_return true;
}

std::optional<Reply> Connection::find_route(Exchange& exchange) {
  try {
    exchange.request.peer = peer_;
    refuse_browsers(exchange.request, core_.options.allowed_hosts);
    exchange.route = &core_.router.match(exchange.request);
    log::debug("Calling {} {}", exchange.request.verb, exchange.request.path);
    return std::nullopt;
  } catch (...) {
    return error_reply(std::current_exception());
  }
}

asio::awaitable<bool> Connection::serve_one() {
  const auto exchange = std::make_shared<Exchange>(core_.loop, core_.options.limits);
  if (!co_await read_head(exchange->parser)) co_return false;
  const auto gone = exchange->request.client_gone;
  exchange->request = std::move(exchange->parser.request());
  exchange->request.client_gone = gone;
  keep_alive_ = exchange->parser.keep_alive() && !core_.stopping;
  http_1_0_ = exchange->parser.http_1_0();
  head_request_ = exchange->request.method == Method::head;
  body_unread_ = !exchange->parser.done();

  if (auto refusal = find_route(*exchange)) {
    if (body_unread_) keep_alive_ = false;
    allow(core_.options.write_time);
    const bool sent = co_await send_text(*refusal, std::get<std::string>(refusal->body));
    co_return (sent && keep_alive_);
  }
  bool ready = true;
  if (exchange->route->body == BodyMode::streamed)
    ready = co_await start_streamed_body(exchange);
  else if (body_unread_)
    ready = co_await read_whole_body(*exchange);
  if (!ready) co_return false;
  const bool alive = co_await run_handler(exchange);
  co_await stop_feeding();
  if (body_unread_) co_return false;
  co_return (alive && keep_alive_);
}

asio::awaitable<bool> Connection::run_handler(std::shared_ptr<Exchange> exchange) {
  allow_any_time();
  if (exchange->route->run_on == RunOn::event_loop) {
    exchange->work_inline();
  } else {
    current_ = exchange;
    if (eof_ && exchange->parser.done()) exchange->client_gone();
    WorkerPool& pool = exchange->inlet ? core_.clients : core_.pool;
    pool.post([exchange, &clients = core_.clients] { exchange->work(clients); });
    while (!exchange->settled() && !exchange->outlet.started()) co_await exchange->wake.wait();
  }
  const bool alive = co_await send_reply(exchange);
  core_.rest_later();
  current_.reset();
  abort_stream_ = nullptr;
  co_return alive;
}

asio::awaitable<bool> Connection::read_whole_body(Exchange& exchange) {
  const std::size_t limit = core_.options.limits.body_bytes;
  const std::string too_large = fmt::format("request body is too large: at most {} bytes are accepted", limit);
  if (exchange.parser.content_length() > limit) {
    co_await refuse(413, too_large);
    co_return false;
  }
  allow(core_.options.body_time);
  if (exchange.parser.expects_continue() && in_.empty()) {
    if (!co_await transport_->write("HTTP/1.1 100 Continue\r\n\r\n", "")) co_return false;
  }
  std::optional<ProtocolError> refusal;
  while (!exchange.parser.done() && !refusal) {
    try {
      consume(exchange.parser.read_body(in_, exchange.request.body));
    } catch (const ProtocolError& error) {
      refusal = error;
    }
    if (exchange.request.body.size() > limit) refusal.emplace(413, too_large);
    if (refusal || exchange.parser.done()) break;
    if (eof_) co_return false;
    co_await data_.wait();
  }
  if (refusal) {
    co_await refuse(refusal->status(), refusal->what());
    co_return false;
  }
  body_unread_ = false;
  co_return true;
}

asio::awaitable<bool> Connection::start_streamed_body(std::shared_ptr<Exchange> exchange) {
  std::weak_ptr<Connection> weak = weak_from_this();
  asio::io_context& loop = core_.loop;
  exchange->open_inlet([weak, &loop] {
    asio::post(loop, [weak] {
      if (const auto self = weak.lock()) self->data_.set();
    });
  });
  if (exchange->parser.done()) {
    exchange->inlet->finish();
    co_return true;
  }
  if (exchange->parser.expects_continue() && in_.empty()) {
    if (!co_await transport_->write("HTTP/1.1 100 Continue\r\n\r\n", "")) co_return false;
  }
  feeding_ = true;
  stop_feeding_ = false;
  asio::co_spawn(
      core_.loop, [self = shared_from_this(), exchange] { return self->feed_body(exchange); }, asio::detached);
  co_return true;
}

asio::awaitable<void> Connection::feed_body(std::shared_ptr<Exchange> exchange) {
  const auto self = shared_from_this();
  BodyInlet& inlet = *exchange->inlet;
  std::string piece;
  while (!stop_feeding_ && !exchange->parser.done()) {
    try {
      piece.clear();
      if (!inlet.full()) consume(exchange->parser.read_body(in_, piece));
      inlet.push(piece);
    } catch (const ProtocolError& error) {
      inlet.fail(std::make_exception_ptr(Error(ErrorKind::invalid_argument, error.what())));
      break;
    }
    if (exchange->parser.done()) break;
    if (!piece.empty() && !in_.empty()) continue;
    if (eof_ && !inlet.full()) break;
    co_await data_.wait();
  }
  if (exchange->parser.done()) {
    body_unread_ = false;
    inlet.finish();
  } else {
    inlet.fail(std::make_exception_ptr(gone_error()));
  }
  feeding_ = false;
  fed_.set();
}

asio::awaitable<void> Connection::stop_feeding() {
  while (feeding_) {
    stop_feeding_ = true;
    data_.set();
    co_await fed_.wait();
  }
}

asio::awaitable<void> Connection::refuse(int status, std::string_view message) {
  keep_alive_ = false;
  http_1_0_ = false;
  head_request_ = false;
  allow(core_.options.write_time);
  const Reply reply = error_reply(status, message);
  const bool ignored = co_await send_text(reply, std::get<std::string>(reply.body));
  (void)ignored;
}

// A client that still sends would get a reset instead of our reply, so what it sends is read away for a moment.
asio::awaitable<void> Connection::say_goodbye() {
  if (eof_) co_return;
  allow(core_.options.linger_time);
  co_await transport_->finish();
  std::size_t discarded = 0;
  while (body_unread_ && !eof_ && discarded < kMostDiscarded) {
    discarded += in_.size();
    consume(in_.size());
    co_await data_.wait();
  }
}

}  // namespace bryo::api

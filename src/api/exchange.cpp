#include "api/exchange.hpp"

#include "api/errors.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"

namespace bryo::api {

Exchange::Exchange(asio::io_context& loop, const MessageLimits& limits)
    : parser(limits), outlet([this] { waker()(); }), wake(loop), loop_(loop) {
  request.client_gone = gone_;
}

// The posted function keeps this object alive until the loop has seen it.
std::function<void()> Exchange::waker() {
  return [self = shared_from_this()] { asio::post(self->loop_, [self] { self->wake.set(); }); };
}

void Exchange::open_inlet(std::function<void()> wake_feeder) {
  inlet = std::make_unique<BodyInlet>(std::move(wake_feeder));
  request.stream = inlet.get();
}

void Exchange::note_failure(const std::exception_ptr& thrown) const {
  const int status = error_reply(thrown).status;
  const auto level = status == 500 ? log::Level::error : log::Level::debug;
  if (log::level() <= level)
    log::write(level, fmt::format("Handler for {} {} returned error: {}", request.verb, printable(request.target),
                                  message_of(thrown)));
}

void Exchange::attempt(const std::function<void()>& part) {
  try {
    part();
  } catch (...) {
    note_failure(std::current_exception());
    reply = error_reply(std::current_exception());
  }
}

void Exchange::settle() {
  asio::post(loop_, [self = shared_from_this()] {
    self->settled_ = true;
    self->wake.set();
  });
}

void Exchange::work(WorkerPool& clients) {
  attempt([this] {
    reply = route->handler(request);
    if (const auto* later = std::get_if<Reply::Later>(&reply.body)) begin_later(*later);
  });
  if (!std::holds_alternative<Reply::Stream>(reply.body)) return settle();
  clients.post([self = shared_from_this()] {
    self->attempt([&] { self->produce(std::get<Reply::Stream>(self->reply.body)); });
    self->settle();
  });
}

void Exchange::work_inline() {
  attempt([this] { reply = route->handler(request); });
  settled_ = true;
}

void Exchange::produce(const Reply::Stream& stream) {
  try {
    stream.producer(outlet);
  } catch (...) {
    if (!outlet.started()) throw;
    note_failure(std::current_exception());
    if (stream.on_error == Reply::OnError::abort || outlet.gone()) {
      outlet.finish(BodyOutlet::State::failed);
      return;
    }
    try {
      outlet.write(error_line(std::current_exception()));
    } catch (const Error&) {
      // The client left while we told it.
    }
  }
  outlet.finish(BodyOutlet::State::finished);
}

void Exchange::begin_later(const Reply::Later& later) {
  ticket = later.begin([self = shared_from_this()](std::string text) {
    {
      std::lock_guard lock(self->mutex_);
      self->later_text_ = std::move(text);
    }
    self->waker()();
  });
}

std::optional<std::string> Exchange::later_text() {
  std::lock_guard lock(mutex_);
  return later_text_;
}

void Exchange::client_gone() {
  gone_->store(true, std::memory_order_relaxed);
  outlet.abandon();
  wake.set();
}

}  // namespace bryo::api

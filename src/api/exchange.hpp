// One request and its reply, shared by a connection's coroutine and the pool thread that runs the handler.
//
//   loop: begin ──post──▶ pool: handler ─┬─ reply ready ──────────────▶ loop: writes it
//                                        ├─ producer runs, outlet ────▶ loop: writes pieces as they come
//                                        └─ later: begin(done) … any thread: done(text) ──▶ loop: writes it
//
// Private to the server (brings Asio). Members marked (loop) belong to the event loop, (pool) to the handler's thread
// until settled() is true or outlet has started.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "api/body_streams.hpp"
#include "api/event.hpp"
#include "api/message_parser.hpp"
#include "api/router.hpp"
#include "base/worker_pool.hpp"

namespace bryo::api {

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  explicit Exchange(asio::io_context& loop, const MessageLimits& limits);

  // (loop) Routes stream the body through this; call before the handler runs.
  void open_inlet(std::function<void()> wake_feeder);
  // (pool) Runs the handler. A producer that it gives runs in `clients`.
  void work(WorkerPool& clients);
  // (loop) For handlers that may run on the event loop: they give a whole reply.
  void work_inline();
  // (loop) The client has gone: producers, bodies and waits end.
  void client_gone();
  // (loop) The handler has returned and its thread is done with this object.
  bool settled() const { return settled_; }
  bool gone() const { return gone_->load(std::memory_order_relaxed); }
  // Any thread: what done() was given.
  std::optional<std::string> later_text();

  Request request;
  MessageParser parser;          // (loop)
  const Route* route = nullptr;  // (loop)
  Reply reply;                   // (pool)
  BodyOutlet outlet;
  std::unique_ptr<BodyInlet> inlet;
  Event wake;                    // (loop) set whenever something above has changed
  std::shared_ptr<void> ticket;  // (pool)

 private:
  std::function<void()> waker();
  void attempt(const std::function<void()>& part);
  void settle();
  void produce(const Reply::Stream& stream);
  void begin_later(const Reply::Later& later);
  void note_failure(const std::exception_ptr& thrown) const;

  asio::io_context& loop_;
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
  bool settled_ = false;
  std::mutex mutex_;
  std::optional<std::string> later_text_;  // guarded by mutex_
};

}  // namespace bryo::api

// One coroutine waits, another (of the same event loop) sets. A set that nobody waits for is kept until the next wait.
// Event loop only; private to the server (this header brings Asio).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

namespace bryo::api {

namespace asio = boost::asio;

class Event {
 public:
  explicit Event(asio::io_context& loop) : loop_(loop) {}

  asio::awaitable<void> wait() {
    if (!std::exchange(set_, false)) {
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
          [this](auto handler) { waiting_.emplace(std::move(handler)); }, asio::use_awaitable);
    }
  }

  void set() {
    if (!waiting_) {
      set_ = true;
      return;
    }
    auto handler = std::move(*waiting_);
    waiting_.reset();
    asio::post(loop_, std::move(handler));
  }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;
  asio::io_context& loop_;
  std::optional<Handler> waiting_;
  bool set_ = false;
};

}  // namespace bryo::api

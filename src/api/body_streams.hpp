// Bodies that are streamed between the event loop, which never blocks, and a pool thread, which may.
//
//   BodyInlet   loop ──push()──▶ bounded queue ──read()──▶ handler      (load, import, archive PUT)
//   BodyOutlet  producer ──write()──▶ bounded queue ──take()──▶ loop    (pull, save, export, archive GET)
//
// The pool side blocks while the queue is empty or full; the loop side is woken by the `wake` callback, which is called
// from the pool thread and must only post to the loop. Each object is shared by exactly these two.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <string>

#include "api/http.hpp"

namespace bryo::api {

class BodyInlet final : public ByteSource {
 public:
  static constexpr std::size_t kCapacity = 256 << 10;

  explicit BodyInlet(std::function<void()> wake) : wake_(std::move(wake)) {}
  // Pool side.
  std::size_t read(std::span<std::byte> into) override;
  // Loop side. push() takes all of it; stop when full() until the next wake.
  void push(std::string_view bytes);
  bool full();
  void finish();
  void fail(std::exception_ptr reason);

 private:
  std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::string queue_;
  std::size_t taken_ = 0;
  bool finished_ = false;
  std::exception_ptr reason_;
};

class BodyOutlet final : public BodyWriter {
 public:
  static constexpr std::size_t kCapacity = 512 << 10;
  enum class State { waiting, started, finished, failed };

  explicit BodyOutlet(std::function<void()> wake) : wake_(std::move(wake)) {}
  // Pool side.
  using ByteSink::write;
  void write(std::span<const std::byte> bytes) override;
  void header(std::string name, std::string value) override { headers_.add(std::move(name), std::move(value)); }
  void start() override;
  bool gone() const override;
  bool backlogged() const override;
  // Pool side, after the producer: nothing more comes. failed: break the connection.
  void finish(State how);
  bool started() const;

  // Loop side: moves what is queued to `out`.
  State take(std::string& out);
  // What the producer added; fixed once started.
  const Headers& headers() const { return headers_; }
  // The client has gone: write() throws from now on.
  void abandon();

 private:
  void start_locked();

  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Headers headers_;
  // Guarded by mutex_.
  std::string queue_;
  State state_ = State::waiting;
  bool abandoned_ = false;
};

}  // namespace bryo::api

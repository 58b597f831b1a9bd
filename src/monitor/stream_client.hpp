// One attached stream: a socket to bryod with output in Docker's framing one way and stdin the other. Part of
// ProcessStreams.
//
// Frame (of a program without a terminal): stream (1 stdout, 2 stderr), three zero bytes, length as 32 bits big endian,
// bytes.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"
#include "monitor/types.hpp"

namespace bryo::monitor {

class StreamClient;

// What a client asks of the streams it belongs to. None of these destroys the client before it returns.
class StreamOwner {
 public:
  // May bytes be given to the program now?
  virtual bool input_ready() const = 0;
  virtual void on_input(std::string_view bytes) = 0;
  virtual void on_input_end(StreamClient& client) = 0;
  // blocked() has become false, or dead() true.
  virtual void on_change(StreamClient& client) = 0;

 protected:
  ~StreamOwner() = default;
};

class StreamClient final : EventHandler {
 public:
  StreamClient(EventLoop& loop, StreamOwner& owner, UniqueFd socket, const AttachRequest& wants, bool framed);
  ~StreamClient();

  bool wants(int stream) const { return stream == 1 ? wants_.stdout_stream : wants_.stderr_stream; }
  // Output has been kept for it; give no more.
  bool blocked() const { return !pending_.empty(); }
  // Nothing more will pass here.
  bool dead() const { return output_dead_ && !reads_input(); }
  void send(int stream, std::string_view bytes);
  // No more output will come: dies when it has taken all.
  void finish_output();
  // No more input is wanted.
  void end_input();
  // The owner's input_ready() has changed.
  void update();

 private:
  void on_events(std::uint32_t events) override;
  bool reads_input() const { return wants_.stdin_stream; }
  void put(std::string_view head, std::string_view bytes);
  void flush();
  void read_input();

  EventLoop& loop_;
  StreamOwner& owner_;
  UniqueFd socket_;
  AttachRequest wants_;
  bool framed_;
  std::string pending_;
  bool finishing_ = false;
  bool output_dead_ = false;
  std::uint32_t watched_ = 0;
  bool added_ = false;
};

}  // namespace bryo::monitor

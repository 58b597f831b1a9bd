// The standard streams of one process (the container's init or an exec) and everybody who is attached to them.
//
//   program ──pipe or terminal──▶ OutputPump ─┬─▶ LogWriter      first; never waits
//                                             └─▶ StreamClient   a bounded buffer each
//   program ◀─pipe or terminal─── InputSink ◀──── StreamClient
//
// Back-pressure, as Docker's: while a client that wants a stream has not taken what it was sent, the stream is not
// read, so the program waits when its pipe is full. A client that hangs up is forgotten at once. After the process has
// ended its pipes are drained at once (they hold little), so the log is complete before the exit is reported, and
// clients get the rest at their own speed.
//
// A client that ends its input ends the program's stdin (close_stdin_once), or else is detached: Docker's rule.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"
#include "monitor/input_sink.hpp"
#include "monitor/output_pump.hpp"
#include "monitor/stream_client.hpp"
#include "monitor/types.hpp"

namespace bryo::monitor {

class LogWriter;

// The program's own ends, to be given to it and then dropped.
struct ProgramEnds {
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

struct StreamOptions {
  bool terminal = false;
  bool keep_stdin = false;        // false: /dev/null
  bool close_stdin_once = false;  // the first client that ends its input ends the program's
  bool discard_output = false;    // detached exec: /dev/null
};

class ProcessStreams final : StreamOwner {
 public:
  // `log` may be null. `on_end` is called once: the process has ended and all output has been taken from it. It may
  // not destroy this object.
  ProcessStreams(EventLoop& loop, const StreamOptions& options, LogWriter* log, std::function<void()> on_end);
  ~ProcessStreams();
  ProcessStreams(const ProcessStreams&) = delete;
  ProcessStreams& operator=(const ProcessStreams&) = delete;

  // Without a terminal: makes the pipes. With one: nothing; the terminal comes with set_terminal().
  ProgramEnds open_pipes();
  void set_terminal(UniqueFd master);
  // Throws Error{invalid_argument} without a terminal.
  void resize(ConsoleSize size);

  // The client's end of a new stream.
  UniqueFd attach(const AttachRequest& request);
  // The same over the client's own stream socket.
  void attach_to(const AttachRequest& request, UniqueFd socket);

  // The process has been reaped: take what is left. When somebody else keeps its streams open (a daemon that it left
  // behind), waits a little, then gives up on that.
  void process_ended();
  // All output has been taken; clients may still have some to get.
  bool finished() const { return finished_; }
  bool has_clients() const { return !clients_.empty(); }
  // Called from the event loop when the last client has gone.
  void when_deserted(std::function<void()> action) { on_deserted_ = std::move(action); }

 private:
  struct Output {
    int stream;
    std::unique_ptr<OutputPump> pump;
  };

  bool input_ready() const override { return !input_ || input_->ready(); }
  void on_input(std::string_view bytes) override;
  void on_input_end(StreamClient& client) override;
  void on_change(StreamClient& client) override;

  void add_output(UniqueFd fd, int stream);
  void add_input(UniqueFd fd);
  void deliver(int stream, std::string_view bytes);
  void output_ended(int stream);
  void update_outputs();
  void bury_dead();
  void give_up_outputs();
  void finish();

  EventLoop& loop_;
  StreamOptions options_;
  LogWriter* log_;
  std::function<void()> on_end_;
  std::function<void()> on_deserted_;
  std::vector<Output> outputs_;
  std::unique_ptr<InputSink> input_;
  UniqueFd terminal_;
  // The slave's side, kept open while the process lives: no end-of-file between two programs on the terminal.
  UniqueFd terminal_peer_;
  std::vector<std::unique_ptr<StreamClient>> clients_;
  bool process_ended_ = false;
  bool finished_ = false;
  Timer grace_;
  Timer burial_;
};

}  // namespace bryo::monitor

// A container in the foreground: keyboard to container, container to screen, signals and window size to the daemon, in
// one poll loop. Nothing here waits for one party while another one has something to say: what cannot be written yet is
// kept, and its source is not read until it is gone.
#pragma once

#include <functional>
#include <string>

#include "cli/http/connection.hpp"
#include "cli/terminal/demultiplexer.hpp"
#include "cli/terminal/detach_keys.hpp"
#include "cli/terminal/signals.hpp"

namespace bryo::cli {

struct SessionOptions {
  bool terminal = false;               // the stream is raw, not framed
  bool input = false;                  // send standard input
  std::string detach_keys;             // bytes; empty: no detaching
  std::function<void(int)> on_signal;  // a signal from the queue
};

class StreamSession {
 public:
  enum class End { stream, detached };

  // `signals` may be null.
  StreamSession(Connection& stream, SignalQueue* signals, SessionOptions options);
  // Until the container's side ends the stream or the user detaches. Throws Error.
  End run();

 private:
  struct Sink {
    int fd;
    std::string waiting;
    bool may_block;  // a pipe or terminal: small writes, after poll says so
  };
  void wait();
  void read_signals();
  void read_input();
  void send_input();
  void read_stream();
  static void drain(Sink& sink);

  Connection& stream_;
  SignalQueue* signals_;
  SessionOptions options_;
  DetachWatcher watcher_;
  Demultiplexer demultiplexer_;
  Sink out_;
  Sink err_;
  std::string to_send_;
  bool input_open_;
  bool input_finished_ = false;  // end of input still to be told
  bool stream_open_ = true;
  bool detached_ = false;
  bool input_ready_ = false;
  bool stream_ready_ = false;
};

}  // namespace bryo::cli

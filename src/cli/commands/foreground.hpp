// A container, or a process in one, that the user is attached to: terminal in raw mode, signals passed on, window size
// kept, until its stream ends.
#pragma once

#include <optional>
#include <string>

#include "cli/commands/context.hpp"
#include "cli/terminal/signals.hpp"
#include "cli/terminal/stream_session.hpp"
#include "cli/terminal/terminal_mode.hpp"

namespace bryo::cli {

struct ForegroundOptions {
  std::string target;  // "/containers/ID" or "/exec/ID": where resize (and kill) go
  bool terminal = false;
  bool input = false;
  bool proxy_signals = false;
  std::string detach_keys;  // as the user wrote them; empty: the default
};

class Foreground {
 public:
  // Signals are queued from here on.
  Foreground(Context& context, ForegroundOptions options);

  // Until the stream ends or the user detaches.
  StreamSession::End run(Connection& stream);
  // Until the answer of /wait comes; its JSON.
  json::Value wait(Answer& answer);
  // Tells the daemon how large the terminal is. `redraw` first sends another size, so that programs draw themselves
  // anew.
  void resize(bool redraw = false);
  void make_raw();
  void restore_terminal() { raw_.reset(); }

 private:
  void on_signal(int signal);
  void send_size(WindowSize size);

  Context& context_;
  ForegroundOptions options_;
  std::string detach_bytes_;
  std::optional<SignalQueue> signals_;
  std::optional<TerminalMode> raw_;
};

// "the input device is not a TTY": -t with -i needs one.
void require_terminal_input(bool attach_input, bool terminal);
// Opens a raw stream: POST with "Upgrade: tcp".
std::unique_ptr<Connection> open_stream(Client& client, std::string target, const json::Value* body = nullptr);
// The exit status in the answer of /wait; throws Error with exit code 125 for the daemon's own failure.
int status_of(const json::Value& wait_answer);

}  // namespace bryo::cli

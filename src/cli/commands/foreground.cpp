#include "cli/commands/foreground.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/error.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"

namespace bryo::cli {

Foreground::Foreground(Context& context, ForegroundOptions options) : context_(context), options_(std::move(options)) {
  if (options_.terminal && options_.input) {
    const std::string keys = options_.detach_keys.empty() ? context.config().text("detachKeys") : options_.detach_keys;
    detach_bytes_ = parse_detach_keys(keys);
  }
  if (options_.proxy_signals)
    signals_.emplace(kProxiedSignals);
  else if (options_.terminal)
    signals_.emplace({SIGWINCH, SIGTERM, SIGHUP});
}

void Foreground::make_raw() {
  if (options_.terminal && options_.input) raw_.emplace(TerminalMode::raw(STDIN_FILENO));
}

StreamSession::End Foreground::run(Connection& stream) {
  context_.out.flush();
  SessionOptions session_options{options_.terminal, options_.input, detach_bytes_,
                                 [this](int signal) { on_signal(signal); }};
  StreamSession session(stream, signals_ ? &*signals_ : nullptr, std::move(session_options));
  const StreamSession::End end = session.run();
  restore_terminal();
  return end;
}

json::Value Foreground::wait(Answer& answer) {
  while (signals_ && !answer.connection().buffered()) {
    std::array<pollfd, 2> entries = {{{answer.connection().fd(), POLLIN, 0}, {signals_->fd(), POLLIN, 0}}};
    if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) fail_errno("wait for the container's exit");
    while (const auto signal = signals_->next()) on_signal(*signal);
    if (entries[0].revents != 0) break;
  }
  return answer.json();
}

void Foreground::on_signal(int signal) {
  if (signal == SIGWINCH && options_.terminal) return resize();
  if (!options_.proxy_signals) {
    // Ended from outside while the terminal is raw: leave it as it was found.
    restore_terminal();
    std::_Exit(128 + signal);
  }
  try {
    context_.client().post(options_.target + "/kill" + Query().add("signal", signal_name(signal)).str());
  } catch (const Error&) {
    // Not running yet, or not any more: the signal has nobody to go to.
  }
}

void Foreground::resize(bool redraw) {
  const auto size = window_size(STDOUT_FILENO);
  if (!size) return;
  if (redraw) send_size({size->rows + 1, size->columns + 1});
  send_size(*size);
}

void Foreground::send_size(WindowSize size) {
  try {
    context_.client().post(options_.target + "/resize" +
                           Query().add("h", std::to_string(size.rows)).add("w", std::to_string(size.columns)).str());
  } catch (const Error&) {
    // The process may be gone, or not yet there; its size matters to nobody then.
  }
}

void require_terminal_input(bool attach_input, bool terminal) {
  if (attach_input && terminal && ::isatty(STDIN_FILENO) != 1)
    throw Error(ErrorKind::invalid_argument, "the input device is not a TTY").with_exit_code(1);
}

std::unique_ptr<Connection> open_stream(Client& client, std::string target, const json::Value* body) {
  Request request;
  request.method = "POST";
  request.target = std::move(target);
  request.upgrade = true;
  request.content_type = body != nullptr ? "application/json" : "text/plain";
  if (body != nullptr) request.body = json::serialize(*body);
  return client.send(std::move(request)).hijack();
}

int status_of(const json::Value& wait_answer) {
  constexpr int kDaemonFailed = 125;
  const std::string message = text_at(wait_answer, "Error.Message");
  if (!message.empty())
    throw Error(ErrorKind::internal, "error waiting for container: " + terminal_safe(message))
        .with_exit_code(kDaemonFailed);
  return static_cast<int>(number_at(wait_answer, "StatusCode")) & 0xff;
}

}  // namespace bryo::cli

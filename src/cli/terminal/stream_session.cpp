#include "cli/terminal/stream_session.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "cli/terminal/output.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kBlock = 64 << 10;
constexpr std::size_t kPipeWrite = 4096;  // what poll(2) promises of a pipe

bool may_block(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode);
}

}  // namespace

StreamSession::StreamSession(Connection& stream, SignalQueue* signals, SessionOptions options)
    : stream_(stream),
      signals_(signals),
      options_(std::move(options)),
      watcher_(options_.detach_keys),
      out_{STDOUT_FILENO, {}, may_block(STDOUT_FILENO)},
      err_{STDERR_FILENO, {}, may_block(STDERR_FILENO)},
      input_open_(options_.input) {}

StreamSession::End StreamSession::run() {
  while (!detached_ && (stream_open_ || !out_.waiting.empty() || !err_.waiting.empty())) {
    wait();
    read_signals();
    if (input_ready_) read_input();
    send_input();
    if (stream_ready_) read_stream();
  }
  return detached_ ? End::detached : End::stream;
}

void StreamSession::wait() {
  const bool sinks_free = out_.waiting.empty() && err_.waiting.empty();
  const bool want_stream = stream_open_ && sinks_free;
  const bool want_input = input_open_ && to_send_.empty() && stream_open_;
  if (want_stream && stream_.buffered()) {
    stream_ready_ = true;
    input_ready_ = false;
    return;
  }
  const auto events =
      static_cast<short>((want_stream ? POLLIN : 0) | (!to_send_.empty() && stream_open_ ? POLLOUT : 0));
  std::array<pollfd, 5> entries = {{{events != 0 ? stream_.fd() : -1, events, 0},
                                    {want_input ? STDIN_FILENO : -1, POLLIN, 0},
                                    {out_.waiting.empty() ? -1 : out_.fd, POLLOUT, 0},
                                    {err_.waiting.empty() ? -1 : err_.fd, POLLOUT, 0},
                                    {signals_ != nullptr ? signals_->fd() : -1, POLLIN, 0}}};
  while (::poll(entries.data(), entries.size(), -1) < 0)
    if (errno != EINTR) fail_errno("wait for the container's streams");
  stream_ready_ = want_stream && (entries[0].revents & ~POLLOUT) != 0;
  input_ready_ = entries[1].revents != 0;
  if (entries[2].revents != 0) drain(out_);
  if (entries[3].revents != 0) drain(err_);
}

void StreamSession::read_signals() {
  while (signals_ != nullptr) {
    const auto signal = signals_->next();
    if (!signal) return;
    if (options_.on_signal) options_.on_signal(*signal);
  }
}

void StreamSession::read_input() {
  std::array<char, kBlock> block;
  const ssize_t got = ::read(STDIN_FILENO, block.data(), block.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    input_open_ = false;
    input_finished_ = true;
    return;
  }
  const std::string_view typed(block.data(), static_cast<std::size_t>(got));
  if (options_.detach_keys.empty()) {
    to_send_ += typed;
    return;
  }
  DetachWatcher::Result result = watcher_.feed(typed);
  to_send_ += result.pass;
  detached_ = result.detached;
}

void StreamSession::send_input() {
  try {
    while (!to_send_.empty()) {
      const auto sent = stream_.try_write_raw(to_send_);
      if (!sent) return;
      to_send_.erase(0, *sent);
    }
    if (input_finished_) stream_.finish_writing();
    input_finished_ = false;
  } catch (const Error&) {
    // The container no longer reads; what it still says matters more.
    to_send_.clear();
    input_open_ = input_finished_ = false;
  }
}

void StreamSession::read_stream() {
  std::array<char, kBlock> block;
  const auto got = stream_.try_read_raw(block);
  if (!got) return;
  if (*got == 0) {
    stream_open_ = false;
    return;
  }
  const std::string_view bytes(block.data(), *got);
  if (options_.terminal)
    out_.waiting += bytes;
  else
    demultiplexer_.feed(bytes, out_.waiting, err_.waiting);
  if (!out_.may_block) drain(out_);
  if (!err_.may_block) drain(err_);
}

void StreamSession::drain(Sink& sink) {
  const std::size_t size = sink.may_block ? std::min(sink.waiting.size(), kPipeWrite) : sink.waiting.size();
  const ssize_t sent = ::write(sink.fd, sink.waiting.data(), size);
  if (sent < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (sent < 0) fail_errno("write to {}", sink.fd == STDERR_FILENO ? "standard error" : "standard output");
  sink.waiting.erase(0, static_cast<std::size_t>(sent));
}

}  // namespace bryo::cli

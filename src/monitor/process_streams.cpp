#include "monitor/process_streams.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "monitor/log_writer.hpp"

namespace bryo::monitor {
namespace {

// As long as Docker waits for the streams of a process that has ended.
constexpr std::chrono::seconds kGrace{2};

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) < 0) fail_errno("make a pipe for a standard stream");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd open_null(int flags) { return kernel::open_trusted("/dev/null", flags); }

}  // namespace

ProcessStreams::ProcessStreams(EventLoop& loop, const StreamOptions& options, LogWriter* log,
                               std::function<void()> on_end)
    : loop_(loop),
      options_(options),
      log_(log),
      on_end_(std::move(on_end)),
      grace_(loop, [this] { give_up_outputs(); }),
      burial_(loop, [this] { bury_dead(); }) {
  outputs_.reserve(2);  // now, not amid what starting the program needs for a moment
}

ProcessStreams::~ProcessStreams() = default;

ProgramEnds ProcessStreams::open_pipes() {
  ProgramEnds ends;
  if (options_.terminal) return ends;
  if (options_.keep_stdin) {
    Pipe in = make_pipe();
    ends.in = std::move(in.read);
    add_input(std::move(in.write));
  } else {
    ends.in = open_null(O_RDONLY);
  }
  if (options_.discard_output) {
    ends.out = open_null(O_WRONLY);
    ends.err = open_null(O_WRONLY);
    return ends;
  }
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  ends.out = std::move(out.write);
  ends.err = std::move(err.write);
  add_output(std::move(out.read), 1);
  add_output(std::move(err.read), 2);
  return ends;
}

void ProcessStreams::set_terminal(UniqueFd master) {
  terminal_ = std::move(master);
  terminal_peer_.reset(::ioctl(terminal_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal_peer_) fail_errno("open the other side of the terminal");
  // Copies: epoll wants one descriptor for reading and one for writing.
  UniqueFd out(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
  UniqueFd in(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
  if (!out || !in) fail_errno("copy the descriptor of the terminal");
  add_output(std::move(out), 1);
  if (options_.keep_stdin) add_input(std::move(in));
}

void ProcessStreams::resize(ConsoleSize size) {
  if (!terminal_) fail(ErrorKind::invalid_argument, "cannot resize: the process has no terminal");
  const winsize wanted{size.rows, size.columns, 0, 0};
  if (::ioctl(terminal_.get(), TIOCSWINSZ, &wanted) < 0)
    fail_errno("set the terminal's size to {}x{}", size.rows, size.columns);
}

UniqueFd ProcessStreams::attach(const AttachRequest& request) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) fail_errno("make a socket pair for attach");
  UniqueFd theirs(fds[1]);
  attach_to(request, UniqueFd(fds[0]));
  return theirs;
}

void ProcessStreams::attach_to(const AttachRequest& request, UniqueFd socket) {
  AttachRequest wants = request;
  if (!options_.keep_stdin) wants.stdin_stream = false;
  StreamOwner& self = *this;
  auto client = std::make_unique<StreamClient>(loop_, self, std::move(socket), wants, !options_.terminal);
  if (finished_) client->finish_output();
  clients_.push_back(std::move(client));
  burial_.arm(std::chrono::milliseconds(0));
}

void ProcessStreams::add_output(UniqueFd fd, int stream) {
  auto pump = std::make_unique<OutputPump>(
      loop_, std::move(fd), [this, stream](std::string_view bytes) { deliver(stream, bytes); },
      [this, stream] { output_ended(stream); });
  outputs_.push_back({stream, std::move(pump)});
}

void ProcessStreams::add_input(UniqueFd fd) {
  input_ = std::make_unique<InputSink>(loop_, std::move(fd), [this] {
    for (const auto& client : clients_) client->update();
  });
}

void ProcessStreams::deliver(int stream, std::string_view bytes) {
  if (log_ != nullptr) log_->write(stream, bytes);
  for (const auto& client : clients_) {
    if (!client->wants(stream)) continue;
    client->send(stream, bytes);
    if (client->dead()) burial_.arm(std::chrono::milliseconds(0));
  }
  update_outputs();
}

void ProcessStreams::update_outputs() {
  for (const Output& output : outputs_) {
    const bool blocked = std::any_of(clients_.begin(), clients_.end(), [&](const auto& client) {
      return client->wants(output.stream) && client->blocked();
    });
    output.pump->set_paused(blocked);
  }
}

void ProcessStreams::output_ended(int stream) {
  if (log_ != nullptr) log_->finish(stream);
  if (process_ended_) finish();
}

void ProcessStreams::on_input(std::string_view bytes) {
  if (!input_) return;
  input_->write(bytes);
  if (input_->ready()) return;
  for (const auto& client : clients_) client->update();
}

void ProcessStreams::on_input_end(StreamClient& client) {
  if (options_.close_stdin_once && !options_.terminal) {
    if (input_) input_->close_when_written();
  } else {
    client.finish_output();
  }
}

void ProcessStreams::on_change(StreamClient& client) {
  if (client.dead()) burial_.arm(std::chrono::milliseconds(0));
  update_outputs();
}

void ProcessStreams::bury_dead() {
  const auto buried = std::erase_if(clients_, [](const auto& client) { return client->dead(); });
  if (buried == 0) return;
  update_outputs();
  if (clients_.empty() && on_deserted_) on_deserted_();
}

void ProcessStreams::process_ended() {
  process_ended_ = true;
  terminal_peer_.reset();
  if (input_) input_->close();
  for (const auto& client : clients_) client->end_input();
  for (const Output& output : outputs_) output.pump->drain();
  finish();
  if (!finished_) grace_.arm(kGrace);
}

void ProcessStreams::give_up_outputs() {
  for (const Output& output : outputs_) {
    output.pump->drain();
    if (!output.pump->open()) continue;
    output.pump->close();
    if (log_ != nullptr) log_->finish(output.stream);
  }
  finish();
}

void ProcessStreams::finish() {
  const bool open = std::any_of(outputs_.begin(), outputs_.end(), [](const Output& o) { return o.pump->open(); });
  if (open || finished_) return;
  finished_ = true;
  grace_.disarm();
  for (const auto& client : clients_) client->finish_output();
  burial_.arm(std::chrono::milliseconds(0));
  on_end_();
}

}  // namespace bryo::monitor

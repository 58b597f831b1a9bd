#include "monitor/stream_client.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kInputChunk = 16 * 1024;

struct FrameHead {
  char bytes[8] = {};
  FrameHead(int stream, std::size_t size) {
    bytes[0] = static_cast<char>(stream);
    for (int i = 0; i < 4; ++i) bytes[4 + i] = static_cast<char>(size >> (24 - 8 * i));
  }
};

}  // namespace

StreamClient::StreamClient(EventLoop& loop, StreamOwner& owner, UniqueFd socket, const AttachRequest& wants,
                           bool framed)
    : loop_(loop), owner_(owner), socket_(std::move(socket)), wants_(wants), framed_(framed) {
  update();
}

StreamClient::~StreamClient() {
  if (added_) loop_.remove(socket_.get(), *this);
  // Unread input would turn the peer's end-of-file into ECONNRESET.
  char rest[4096];
  for (int i = 0; i < 64 && ::recv(socket_.get(), rest, sizeof rest, MSG_DONTWAIT) > 0; ++i) {
  }
}

void StreamClient::send(int stream, std::string_view bytes) {
  if (output_dead_ || bytes.empty()) return;
  const FrameHead head(stream, bytes.size());
  put(framed_ ? std::string_view(head.bytes, sizeof head.bytes) : std::string_view(), bytes);
  update();
}

void StreamClient::put(std::string_view head, std::string_view bytes) {
  std::size_t sent = 0;
  if (pending_.empty()) {
    iovec parts[] = {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(bytes.data()), bytes.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t count = 0;
    do {
      count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno != EAGAIN) {
      output_dead_ = true;
      return;
    }
    sent = count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  if (sent < head.size()) pending_.append(head.substr(sent));
  sent -= std::min(sent, head.size());
  pending_.append(bytes.substr(sent));
}

void StreamClient::flush() {
  while (!pending_.empty()) {
    const ssize_t count = ::send(socket_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {
      output_dead_ = true;
      pending_.clear();
      return;
    }
    pending_.erase(0, static_cast<std::size_t>(count));
  }
  std::string().swap(pending_);
  if (finishing_) output_dead_ = true;
}

void StreamClient::finish_output() {
  finishing_ = true;
  wants_.stdin_stream = false;
  if (pending_.empty()) output_dead_ = true;
  update();
}

void StreamClient::end_input() {
  wants_.stdin_stream = false;
  update();
}

// EPOLLHUP comes whether asked for or not, so a client whose peer is gone is watched only while it can be read.
void StreamClient::update() {
  const bool reading = reads_input() && owner_.input_ready();
  const std::uint32_t events = (reading ? std::uint32_t{EPOLLIN} : 0) | (blocked() ? std::uint32_t{EPOLLOUT} : 0);
  const bool wanted = reading || !output_dead_;
  if (wanted && !added_)
    loop_.add(socket_.get(), events, *this);
  else if (wanted && events != watched_)
    loop_.change(socket_.get(), events, *this);
  else if (!wanted && added_)
    loop_.remove(socket_.get(), *this);
  added_ = wanted;
  watched_ = events;
}

void StreamClient::on_events(std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    output_dead_ = true;
    pending_.clear();
  }
  if ((events & EPOLLOUT) != 0) flush();
  if ((events & (EPOLLIN | EPOLLHUP)) != 0 && reads_input() && owner_.input_ready()) read_input();
  update();
  owner_.on_change(*this);
}

void StreamClient::read_input() {
  char chunk[kInputChunk];
  const ssize_t count = ::recv(socket_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
  if (count > 0) {
    owner_.on_input({chunk, static_cast<std::size_t>(count)});
    return;
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  wants_.stdin_stream = false;
  owner_.on_input_end(*this);
}

}  // namespace bryo::monitor

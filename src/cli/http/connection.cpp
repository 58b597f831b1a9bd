#include "cli/http/connection.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kBlock = 64 << 10;

}  // namespace

void Connection::begin(const Request& request) {
  source_ = request.source;
  output_.clear();
  upgrade_ = request.upgrade;
  bodyless_ = request.method == "HEAD";
  std::string text = head_text(request, authority_);
  if (!source_) text += request.body;
  transport_->write(text);
}

Head Connection::finish() {
  Head head = read_head();
  while (head.status < 200 && head.status != 101) head = read_head();  // 100 Continue and its kind
  choose_body(head);
  // A refusal need not wait for the rest of the upload.
  if (head.status >= 400 && source_) {
    source_ = nullptr;
    output_.clear();
    keep_alive_ = false;
  }
  return head;
}

Head Connection::read_head() {
  while (true) {
    auto end = input_.find("\r\n\r\n");
    if (end != std::string::npos) {
      const Head head = parse_head(std::string_view(input_).substr(0, end + 4));
      input_.erase(0, end + 4);
      return head;
    }
    if (input_.size() > kMaxHeadBytes)
      fail(ErrorKind::unavailable, "malformed HTTP answer from the daemon: head too large");
    if (!fill())
      fail(ErrorKind::unavailable, "error during connect: the daemon closed the connection without an answer");
  }
}

void Connection::choose_body(const Head& head) {
  keep_alive_ = !iequals(head.header("connection"), "close");
  chunks_ = {};
  if (head.status == 101 || (upgrade_ && head.status == 200)) {
    body_ = Body::until_close;
    keep_alive_ = false;
  } else if (bodyless_ || head.status == 204 || head.status == 304) {
    body_ = Body::none;
  } else if (iequals(head.header("transfer-encoding"), "chunked")) {
    body_ = Body::chunked;
  } else if (const auto length = head.header("content-length"); !length.empty()) {
    const auto number = parse_integer<std::uint64_t>(length);
    if (!number) fail(ErrorKind::unavailable, "malformed HTTP answer from the daemon: bad Content-Length");
    left_ = *number;
    body_ = left_ == 0 ? Body::none : Body::length;
  } else {
    body_ = Body::until_close;
    keep_alive_ = false;
  }
}

// Receives something more, sending the source's body meanwhile. False at the end of the stream.
bool Connection::fill() {
  std::array<char, kBlock> block;
  while (true) {
    if (const auto got = transport_->try_read(block)) {
      input_.append(block.data(), *got);
      return *got > 0;
    }
    push_source();
    const bool sending = source_ || !output_.empty();
    pollfd entry{transport_->fd(), static_cast<short>(POLLIN | (sending ? POLLOUT : 0)), 0};
    if (::poll(&entry, 1, -1) < 0 && errno != EINTR) fail_errno("poll the connection to the daemon");
  }
}

// Sends what the socket takes of the source's body.
void Connection::push_source() {
  while (source_ || !output_.empty()) {
    if (output_.empty()) {
      std::array<char, kBlock> block;
      const std::size_t size = source_(block);
      output_ = fmt::format("{:x}\r\n", size);
      output_.append(block.data(), size).append("\r\n");
      if (size == 0) source_ = nullptr;
    }
    const auto sent = transport_->try_write(output_);
    if (!sent) return;
    output_.erase(0, *sent);
  }
}

void Connection::finish_upload() {
  while (true) {
    push_source();
    if (!source_ && output_.empty()) return;
    pollfd entry{transport_->fd(), POLLOUT, 0};
    if (::poll(&entry, 1, -1) < 0 && errno != EINTR) fail_errno("poll the connection to the daemon");
  }
}

std::size_t Connection::take_input(std::span<char> into, std::size_t limit) {
  const std::size_t size = std::min({into.size(), input_.size(), limit});
  input_.copy(into.data(), size);
  input_.erase(0, size);
  return size;
}

std::size_t Connection::read(std::span<char> into) {
  switch (body_) {
    case Body::none:
      return 0;
    case Body::length:
      return read_length(into);
    case Body::chunked:
      return read_chunked(into);
    case Body::until_close:
      if (input_.empty() && !fill()) {
        body_ = Body::none;
        return 0;
      }
      return take_input(into, into.size());
  }
  return 0;
}

std::size_t Connection::read_length(std::span<char> into) {
  if (input_.empty() && !fill()) fail(ErrorKind::unavailable, "unexpected EOF: the daemon's answer was cut short");
  const std::size_t size = take_input(into, static_cast<std::size_t>(std::min<std::uint64_t>(left_, into.size())));
  left_ -= size;
  if (left_ == 0) body_ = Body::none;
  return size;
}

std::size_t Connection::read_chunked(std::span<char> into) {
  while (true) {
    const ChunkDecoder::Step step = chunks_.take(input_, into.size());
    const std::size_t size = step.data.size();
    if (size > 0) step.data.copy(into.data(), size);
    input_.erase(0, step.consumed);
    if (size > 0) return size;
    if (chunks_.done()) {
      body_ = Body::none;
      return 0;
    }
    if (step.consumed == 0 && !fill())
      fail(ErrorKind::unavailable, "unexpected EOF: the daemon's answer was cut short");
  }
}

std::optional<std::size_t> Connection::try_read_raw(std::span<char> into) {
  if (!input_.empty()) return take_input(into, into.size());
  return transport_->try_read(into);
}

}  // namespace bryo::cli

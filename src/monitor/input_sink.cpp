#include "monitor/input_sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.hpp"

namespace bryo::monitor {

InputSink::InputSink(EventLoop& loop, UniqueFd fd, std::function<void()> ready)
    : loop_(loop), fd_(std::move(fd)), ready_(std::move(ready)) {
  if (::fcntl(fd_.get(), F_SETFL, O_NONBLOCK) < 0) fail_errno("make the stdin of a program non-blocking");
}

void InputSink::write(std::string_view bytes) {
  if (!fd_) return;
  bytes.remove_prefix(put(bytes));
  if (!fd_ || bytes.empty()) return;
  pending_.append(bytes);
  set_watched(true);
}

std::size_t InputSink::put(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = ::write(fd_.get(), bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) {
      close();
      return bytes.size();
    }
    written += static_cast<std::size_t>(count);
  }
  return written;
}

void InputSink::on_events(std::uint32_t) {
  pending_.erase(0, put(pending_));
  if (!pending_.empty()) return;
  std::string().swap(pending_);
  set_watched(false);
  if (close_when_written_) close();
  ready_();
}

void InputSink::close_when_written() {
  close_when_written_ = true;
  if (pending_.empty()) close();
}

void InputSink::close() {
  set_watched(false);
  fd_.reset();
  pending_.clear();
}

void InputSink::set_watched(bool watched) {
  if (watched == watched_ || !fd_) return;
  if (watched)
    loop_.add(fd_.get(), EPOLLOUT, *this);
  else
    loop_.remove(fd_.get(), *this);
  watched_ = watched;
}

}  // namespace bryo::monitor

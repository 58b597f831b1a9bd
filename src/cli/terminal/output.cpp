#include "cli/terminal/output.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kBuffer = 32 << 10;

}  // namespace

void write_fully(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::write(fd, text.data(), text.size());
    if (sent >= 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      // Somebody made the descriptor non-blocking; it is shared with other programs, so leave it so.
      pollfd entry{fd, POLLOUT, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      fail_errno("write to {}", fd == STDERR_FILENO ? "standard error" : "standard output");
    }
  }
}

Output::~Output() {
  try {
    flush();
  } catch (const Error&) {
    // Nobody is left to be told.
  }
}

void Output::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBuffer) flush();
}

void Output::flush() {
  const std::string text = std::exchange(buffer_, {});
  write_fully(fd_, text);
}

bool Output::is_terminal() const { return ::isatty(fd_) == 1; }

unsigned Output::columns() const {
  winsize size{};
  return ::ioctl(fd_, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace bryo::cli

#include "cli/terminal/terminal_mode.hpp"

#include <sys/ioctl.h>

namespace bryo::cli {

TerminalMode::TerminalMode(int fd) {
  if (::tcgetattr(fd, &saved_) == 0) fd_ = fd;
}

TerminalMode TerminalMode::raw(int fd) {
  TerminalMode mode(fd);
  if (mode.fd_ >= 0) {
    termios changed = mode.saved_;
    ::cfmakeraw(&changed);
    ::tcsetattr(fd, TCSANOW, &changed);
  }
  return mode;
}

TerminalMode TerminalMode::without_echo(int fd) {
  TerminalMode mode(fd);
  if (mode.fd_ >= 0) {
    termios changed = mode.saved_;
    changed.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(fd, TCSANOW, &changed);
  }
  return mode;
}

void TerminalMode::restore() {
  if (fd_ >= 0) ::tcsetattr(std::exchange(fd_, -1), TCSADRAIN, &saved_);
}

std::optional<WindowSize> window_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || (size.ws_row == 0 && size.ws_col == 0)) return std::nullopt;
  return WindowSize{size.ws_row, size.ws_col};
}

}  // namespace bryo::cli

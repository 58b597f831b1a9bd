// The caller's terminal: raw mode while a container owns the keyboard, no echo while a password is typed.
#pragma once

#include <termios.h>

#include <optional>
#include <utility>

namespace bryo::cli {

// Restores the terminal when it goes away.
class TerminalMode {
 public:
  // No change when `fd` is no terminal.
  static TerminalMode raw(int fd);
  static TerminalMode without_echo(int fd);

  TerminalMode(TerminalMode&& other) noexcept : fd_(std::exchange(other.fd_, -1)), saved_(other.saved_) {}
  TerminalMode& operator=(TerminalMode&&) = delete;
  ~TerminalMode() { restore(); }
  void restore();

 private:
  explicit TerminalMode(int fd);
  int fd_ = -1;
  termios saved_{};
};

struct WindowSize {
  unsigned rows = 0;
  unsigned columns = 0;
};
// nullopt when `fd` is no terminal or has no size.
std::optional<WindowSize> window_size(int fd);

}  // namespace bryo::cli

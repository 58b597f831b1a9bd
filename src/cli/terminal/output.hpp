// Standard output and standard error: buffered, written whole, without iostreams (they cost start-up time). A reader
// that goes away ends the program by SIGPIPE, as with any other tool.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace bryo::cli {

class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  void write(std::string_view text);
  template <typename... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    write(fmt::format(format, std::forward<Args>(args)...));
  }
  // Sends what is buffered; throws Error when it cannot.
  void flush();
  bool is_terminal() const;
  // Columns of the terminal, 0 when it is none.
  unsigned columns() const;
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string buffer_;
};

// Writes all of it to a blocking descriptor; throws Error.
void write_fully(int fd, std::string_view text);

}  // namespace bryo::cli

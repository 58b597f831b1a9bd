// The child's side of the conversation with its launcher. No allocation, no exception, no lock: fixed buffers only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "runtime/child_report.hpp"

namespace bryo::runtime::child {

// Text of bounded length; what does not fit is cut.
template <std::size_t Size>
class FixedText {
 public:
  FixedText& add(const char* text) noexcept {
    while (text != nullptr && *text != '\0' && size_ + 1 < Size) data_[size_++] = *text++;
    data_[size_] = '\0';
    return *this;
  }
  FixedText& add(const char* text, std::size_t length) noexcept {
    for (std::size_t i = 0; i < length && size_ + 1 < Size; ++i) data_[size_++] = text[i];
    data_[size_] = '\0';
    return *this;
  }
  FixedText& add_number(std::uint64_t number) noexcept {
    char digits[20];
    std::size_t count = 0;
    do digits[count++] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0) add(&digits[--count], 1);
    return *this;
  }
  void clear() noexcept { cut(0); }
  void cut(std::size_t size) noexcept {
    size_ = size;
    data_[size_] = '\0';
  }
  const char* c_str() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool full() const noexcept { return size_ + 1 >= Size; }

 private:
  char data_[Size] = {};
  std::size_t size_ = 0;
};

using Words = std::initializer_list<const char*>;

class LauncherLink {
 public:
  explicit LauncherLink(int fd) noexcept : fd_(fd) {}
  int fd() const noexcept { return fd_; }
  // After the descriptor was moved, or the conversation goes on over a connection to the gate.
  void use(int fd) noexcept { fd_ = fd; }

  // The words, joined, say what was attempted and on what; the errno says why.
  [[noreturn]] void fail(int error, Words what) const noexcept;
  // The program cannot be run: the words are the whole text.
  [[noreturn]] void cannot_run(int error, unsigned exit_code, Words text) const noexcept;
  void warn(int error, Words what) const noexcept;
  // Fails with the words when result is negative (-errno); gives it back otherwise.
  int check(int result, Words what) const noexcept {
    if (result < 0) fail(-result, what);
    return result;
  }
  void send(ReportKind kind, int number = 0, int descriptor = -1) const noexcept;
  // Waits for a packet of this kind. Fills `descriptors` and returns how many came; -1 when the launcher is gone or
  // sent something else.
  int wait_for(ReportKind kind, int* descriptors = nullptr, std::size_t room = 0, int* number = nullptr) const noexcept;
  // The same by read(2), for a child that has its filter on: 0 or -errno, EPIPE when the launcher is gone.
  int wait_for_word(ReportKind kind) const noexcept;

 private:
  void send_text(ReportKind kind, int error, unsigned exit_code, Words words) const noexcept;
  int fd_;
};

[[noreturn]] void end(int status) noexcept;

}  // namespace bryo::runtime::child

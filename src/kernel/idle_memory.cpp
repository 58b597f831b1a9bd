#include "kernel/idle_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

constexpr std::size_t kPage = 4096;

// Lines of a file below /proc/self, without a byte of heap: this code must not need what it is there to give back.
class Lines {
 public:
  explicit Lines(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {}
  ~Lines() {
    if (fd_ >= 0) ::close(fd_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  // False at the end. Lines that do not fit come in pieces.
  bool next(std::string_view& line) {
    for (;;) {
      const std::string_view have(buffer_ + begin_, end_ - begin_);
      const auto newline = have.find('\n');
      if (newline != std::string_view::npos || have.size() == sizeof buffer_) {
        line = have.substr(0, newline);
        begin_ += newline == std::string_view::npos ? have.size() : newline + 1;
        return true;
      }
      std::memmove(buffer_, buffer_ + begin_, have.size());
      begin_ = 0;
      end_ = have.size();
      const ssize_t got = fd_ < 0 ? 0 : ::read(fd_, buffer_ + end_, sizeof buffer_ - end_);
      if (got <= 0) return false;
      end_ += static_cast<std::size_t>(got);
    }
  }

 private:
  int fd_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  char buffer_[1024];
};

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool candidate = false;  // of a file, and nobody here may write to it

  void release() const {
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT: an address out of /proc
  }
};

// "55d0c2a00000-55d0c2a2c000 r-xp 00002000 fe:00 1234   /usr/bin/x"
bool parse_header(std::string_view line, Mapping& out) {
  const auto dash = line.find('-');
  const auto space = line.find(' ');
  if (dash == std::string_view::npos || space == std::string_view::npos || dash > space || space + 5 > line.size())
    return false;
  const auto number = [](std::string_view text, std::uintptr_t& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value, 16).ptr == text.data() + text.size();
  };
  if (!number(line.substr(0, dash), out.begin) || !number(line.substr(dash + 1, space - dash - 1), out.end))
    return false;
  const std::string_view rights = line.substr(space + 1, 4);
  out.candidate = rights[0] == 'r' && rights[1] == '-' && rights[3] == 'p' && line.find('/') != std::string_view::npos;
  return true;
}

}  // namespace

void release_clean_pages() noexcept {
  Lines lines("/proc/self/smaps");
  Mapping current;
  std::string_view line;
  while (lines.next(line)) {
    constexpr std::string_view kAnonymous = "Anonymous:";
    if (parse_header(line, current) || !current.candidate || !line.starts_with(kAnonymous)) continue;
    // No page has become our own: relocations do that before they take the right to write away.
    if (line.find_first_not_of(" ", kAnonymous.size()) == line.find(" 0 kB") + 1) current.release();
    current.candidate = false;
  }
}

void release_unused_stack() noexcept {
  // Our own frame, and what a system call's wrapper needs, lie within the page below.
  const auto top = (reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) - kPage) & ~(kPage - 1);
  Lines lines("/proc/self/maps");
  std::string_view line;
  while (lines.next(line)) {
    Mapping stack;
    if (!line.ends_with("[stack]") || !parse_header(line, stack) || stack.begin >= top || top >= stack.end) continue;
    stack.end = top;
    stack.release();
  }
}

}  // namespace bryo::kernel

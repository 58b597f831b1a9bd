// Bytes of a container's output as Docker's json-file lines: pure, no allocation.
//
//   {"log":"hello\n","stream":"stdout","attrs":{…},"time":"2026-11-22T02:10:00.123456789Z"}
//
// Escapes are those of Docker's writer: \" \\ \n \r, other control bytes and < > & as \u00xx, U+2028 and U+2029 as
// \u2028 and \u2029, every byte that is not valid UTF-8 as \ufffd; everything else as it is. Trailing zeros of the
// second's fraction are dropped (RFC3339Nano of Go). A line of more than kMaxLine bytes is cut: only the last piece has
// the "\n".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bryo::monitor {

inline constexpr std::size_t kMaxLine = 16 * 1024;
// Most that one input byte becomes.
inline constexpr std::size_t kMaxExpansion = 6;

// Writes `text` escaped to `out`, which has room for kMaxExpansion bytes for each; returns the end.
char* escape_log_text(char* out, std::string_view text);
// As many bytes of a line that is longer than `limit` as go into the next piece: never cuts a character in two.
std::size_t cut_line(std::string_view line, std::size_t limit);

// The "time" text of one moment, made once for all lines of a batch.
class LogTime {
 public:
  static LogTime now();
  static LogTime from_nanoseconds(std::int64_t since_epoch);
  std::string_view text() const { return {text_, size_}; }

 private:
  char text_[32] = {};
  std::uint8_t size_ = 0;
};

// Room that one line needs at most in the output buffer.
constexpr std::size_t max_log_line(std::size_t text, std::size_t attributes) {
  return text * kMaxExpansion + attributes + 128;
}

// One whole line of the file. `newline`: the text ended with one. `attributes`: JSON or empty.
char* format_log_line(char* out, std::string_view text, bool newline, std::string_view stream,
                      std::string_view attributes, const LogTime& time);

}  // namespace bryo::monitor

// One line of a json-file log, read: which stream, when, what, with which attributes. Pure. Reads what Docker and
// bryo-monitor write (keys in any order); anything else is "malformed" and skipped by the reader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace bryo::monitor {

struct LogLine {
  // Views into the line; text and attributes are still JSON.
  std::string_view text;        // between the quotes of "log"
  std::string_view attributes;  // the object of "attrs" or empty
  std::string_view time;        // between the quotes
  int stream = 1;               // 1 stdout, 2 stderr
};

// Without the newline at its end. nullopt when malformed.
std::optional<LogLine> parse_log_line(std::string_view line);
// Appends the characters that a JSON string stands for, as UTF-8.
void append_unescaped(std::string& out, std::string_view json_text);
// "key=value,key=value" sorted by key, both as in a URL's query: what `docker logs --details` shows.
std::string details_text(std::string_view attributes);

struct FrameOptions {
  bool timestamps = false;
  bool details = false;
  bool raw = false;  // no 8-byte header
};
// Appends the line as Docker sends it. `time` is the parsed time, for timestamps.
void append_frame(std::string& out, const LogLine& line, WallTime time, const FrameOptions& options);

}  // namespace bryo::monitor

// The program's own log, in dockerd's manner: time="2026-11-22T02:10:00.123456789Z" level=info msg="…" key=value.
// Written to standard error, one write(2) a line. Not for use between clone() and execve(), nor in the monitor.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace bryo::log {

enum class Level { debug, info, warning, error };

// Lines below this level are not written. Set once at start (--log-level, --debug) or by SIGHUP reload.
void set_level(Level level);
Level level();
// "debug", "info", "warn", "error", "fatal"; throws Error{invalid_argument} otherwise.
Level parse_level(std::string_view name);
// The message is quoted and control bytes are escaped, so hostile text cannot forge a line.
void write(Level level, std::string_view message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::debug) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::info) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::warning) write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace bryo::log

#include "monitor/exit_file.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {

std::string format_exit(const ExitInfo& info) {
  return fmt::format("1 {} {} {}\n", info.code, info.oom_killed ? 1 : 0, info.finished_at.time_since_epoch().count());
}

std::optional<ExitInfo> parse_exit(std::string_view text) {
  if (!text.ends_with('\n')) return std::nullopt;
  const auto words = split(text.substr(0, text.size() - 1), ' ');
  if (words.size() != 4 || words[0] != "1" || (words[2] != "0" && words[2] != "1")) return std::nullopt;
  const auto code = parse_integer<int>(words[1]);
  const auto time = parse_integer<std::int64_t>(words[3]);
  if (!code || !time) return std::nullopt;
  return ExitInfo{*code, words[2] == "1", WallTime(std::chrono::nanoseconds(*time))};
}

void write_exit_file(const std::string& runtime_directory, const ExitInfo& info) {
  const std::string path = runtime_directory + "/" + std::string(kExitFileName);
  const std::string temporary = path + ".new";
  const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) fail_errno("create {}", temporary);
  const std::string text = format_exit(info);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    fail_errno("write {}", temporary);
  if (::rename(temporary.c_str(), path.c_str()) < 0) fail_errno("rename {} to {}", temporary, path);
}

std::optional<ExitInfo> read_exit_file(const std::string& runtime_directory) {
  const std::string path = runtime_directory + "/" + std::string(kExitFileName);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) {
    if (errno == ENOENT) return std::nullopt;
    fail_errno("open {}", path);
  }
  char text[128];
  const ssize_t size = ::read(file.get(), text, sizeof text);
  if (size < 0) fail_errno("read {}", path);
  return parse_exit({text, static_cast<std::size_t>(size)});
}

}  // namespace bryo::monitor

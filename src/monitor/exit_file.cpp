#include "monitor/exit_file.hpp"

#include <fcntl.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
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
  const UniqueFd directory = kernel::open_at(AT_FDCWD, runtime_directory, O_RDONLY | O_DIRECTORY);
  kernel::write_file_durably(directory.get(), std::string(kExitFileName), format_exit(info));
}

std::optional<ExitInfo> read_exit_file(const std::string& runtime_directory) {
  try {
    const UniqueFd directory = kernel::open_at(AT_FDCWD, runtime_directory, O_RDONLY | O_DIRECTORY);
    const UniqueFd file = kernel::open_at(directory.get(), std::string(kExitFileName), O_RDONLY | O_NONBLOCK);
    return parse_exit(kernel::read_file(file.get(), 128));
  } catch (const Error& error) {
    if (error.number() == ENOENT) return std::nullopt;
    throw error.within("read how the container ended");
  }
}

}  // namespace bryo::monitor

// The files of one log, the live one and the rotated ones, opened together; and where the last n lines begin.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::monitor {

// Opens one log file with O_NOFOLLOW; it must be regular (CVE-2026-53489). Empty when there is none; throws otherwise.
UniqueFd open_log_file(const std::string& path);
off_t file_size(int file);
// Same file?
bool is_same_file(int a, int b);

// The neighbours of a log file that is open, whatever its name is by now: every rotation moves the files one name on,
// so a name alone means nothing. Empty: there is none (newer: it is the live file). When the file itself was thrown
// away by rotation, the newer one is the oldest that is left.
UniqueFd older_log_file(const std::string& path, int file);
UniqueFd newer_log_file(const std::string& path, int file);

// Oldest first; the last is the file that was live at the beginning. No file is missed or there twice, however often
// the log is rotated meanwhile. Throws Error{not_found} when there is no live file.
std::vector<UniqueFd> open_log_files(const std::string& path);

struct LogPosition {
  std::size_t file = 0;  // index
  off_t offset = 0;
};
// Reads backwards, block by block.
LogPosition find_tail(const std::vector<UniqueFd>& files, std::uint64_t lines);

}  // namespace bryo::monitor

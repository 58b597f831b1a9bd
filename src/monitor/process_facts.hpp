// Small facts about processes that the monitor needs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace bryo::monitor {

// Field 22 of /proc/<pid>/stat, clock ticks after boot; 0 when there is no such process.
std::uint64_t process_start_time(pid_t pid);
// Pure: the same from the file's text. The name in field 2 may hold blanks and brackets.
std::optional<std::uint64_t> parse_start_time(std::string_view stat);

// This process's oom_score_adj; 0 when it cannot be read. Ask before protect_this_process().
int original_oom_score_adj();
// Makes this process hard to kill and impossible to trace: oom_score_adj as low as allowed (children get theirs from
// their plan), not dumpable.
void protect_this_process();
// What malloc keeps goes back to the kernel.
void give_back_heap();

}  // namespace bryo::monitor

// How a container ended, for a bryod that was not there: one small file in the runtime directory, written before the
// monitor leaves. Text: "1 <code> <0|1 killed for memory> <nanoseconds since the epoch>\n"; 1 is the format.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "monitor/types.hpp"

namespace bryo::monitor {

std::string format_exit(const ExitInfo& info);
// nullopt for anything else than what format_exit writes.
std::optional<ExitInfo> parse_exit(std::string_view text);

// By rename, so that a reader finds all of it or nothing. Throws Error.
void write_exit_file(const std::string& runtime_directory, const ExitInfo& info);
std::optional<ExitInfo> read_exit_file(const std::string& runtime_directory);

}  // namespace bryo::monitor

// Text from the daemon on its way to a person's terminal. Container output is passed through untouched (it is the
// user's program that speaks), but what the daemon says in its own name (progress, errors, names in tables) must not be
// able to move the cursor or type keys: control bytes are written as \xNN.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bryo::cli {

// C0, DEL and the UTF-8 form of C1 become \xNN; line feed and tab stay when `keep_lines`.
std::string terminal_safe(std::string_view text, bool keep_lines = false);
// At most `width` characters (code points), the last one "…" when something was cut.
std::string ellipsis(std::string_view text, std::size_t width);
// Number of code points: what Go's utf8.RuneCountInString counts.
std::size_t rune_count(std::string_view text);

}  // namespace bryo::cli

// One line of comma-separated values, quoted as in RFC 4180: --mount, --network and --publish in their long forms.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bryo::cli {

// Throws Error{invalid_argument} for a stray or missing quote.
std::vector<std::string> split_csv(std::string_view line);

}  // namespace bryo::cli

// Files of key=value lines: --env-file and --label-file.
#pragma once

#include <string>
#include <vector>

namespace bryo::cli {

// "key=value" entries in order; a bare name is left out, unless `environment` and the caller has a value for it. Throws
// Error; the message starts as Docker's ("open x: no such file or directory", "invalid env file …").
std::vector<std::string> read_value_file(const std::string& path, bool environment);

// The whole file, at most `limit` bytes; throws Error "open PATH: REASON" in Go's words.
std::string read_small_file(const std::string& path, std::size_t limit = 16 << 20);

}  // namespace bryo::cli

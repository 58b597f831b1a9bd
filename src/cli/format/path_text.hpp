// Paths as text, the way Go's path/filepath treats them. No file is looked at, except for the working directory.
#pragma once

#include <string>
#include <string_view>

namespace bryo::cli {

// Without "." and "x/.." and doubled slashes; "" becomes ".".
std::string clean_path(std::string_view path);
// Made absolute with the working directory, then cleaned.
std::string absolute_path(std::string_view path);
std::string join_path(std::string_view directory, std::string_view name);
// The last element, "/" for the root, "." for "".
std::string base_name(std::string_view path);
// All but the last element, cleaned.
std::string directory_of(std::string_view path);

}  // namespace bryo::cli

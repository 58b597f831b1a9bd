// JSON as Go's encoding/json writes it: what `{{json .}}`, `--format json` and `docker inspect` print. Differs from
// base/json in the form of numbers (1.5, 1e+21; never 1E0) and in the line separators U+2028/U+2029.
#pragma once

#include <string>
#include <string_view>

#include "base/json.hpp"

namespace bryo::cli {

// One line, no blanks. `html`: <, > and & as \u003c …, which is Go's default and what rows of lists have.
std::string compact_json(const json::Value& value, bool html = false);
// Indented by four blanks as `docker inspect` does it, or by `step`.
std::string indented_json(const json::Value& value, std::string_view step = "    ");
// A copy with the keys in order: how Go prints maps.
json::Value sorted_by_key(const json::Value& object);
// Go's %v of a float64, "1.5", "1e+21".
std::string go_number(double value);

}  // namespace bryo::cli

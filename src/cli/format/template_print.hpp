// Values as Go's fmt package prints them: %v and the other verbs of printf.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace bryo::cli::tmpl {

// %v. JSON does not say which object was a Go struct and which a map, nor of what type a null was; the name under which
// a value was found (`name`) decides: Labels, Ports, Options … are maps, "map[a:b]"; the rest are structs, "{a b}".
std::string go_text(const json::Value& value, std::string_view name = {});
// fmt.Sprint: blanks between operands when neither is a string.
std::string go_print(std::span<const json::Value* const> values);
// fmt.Sprintln.
std::string go_println(std::span<const json::Value* const> values);
// fmt.Sprintf.
std::string go_printf(std::string_view format, std::span<const json::Value* const> values);
// "..." with Go's escapes (%q).
std::string go_quote(std::string_view text);
// True where docker's Go types hold a map under this name.
bool is_map_name(std::string_view name);

}  // namespace bryo::cli::tmpl

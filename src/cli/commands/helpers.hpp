// What many commands share.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands/context.hpp"
#include "cli/http/json_stream.hpp"

namespace bryo::cli {

// "/containers/NAME" + rest, encoded.
std::string container_path(std::string_view name, std::string_view rest = {});
std::string image_path(std::string_view name, std::string_view rest = {});
// Does it for every name, reports failures and goes on. 1 when any failed.
int for_each_name(Context& context, const std::vector<std::string>& names,
                  const std::function<void(const std::string&)>& action);
// The same, printing every name that went well.
int for_each_printed(Context& context, const std::vector<std::string>& names,
                     const std::function<void(const std::string&)>& action);
// Asks on standard output; anything but y or yes is no.
bool confirm(Context& context, std::string_view question);
// "filters" of a query, when there are any.
void add_filters(Query& query, const json::Object& filters);
// --since and --until (`option`): seconds and nanoseconds as the API takes them. Throws Error{invalid_argument}.
std::string api_timestamp(std::string_view option, const std::string& text);
// A line of standard input, without its line feed; nullopt at the end.
std::optional<std::string> read_line();
// Every value of a streamed answer, as it comes.
void for_each_value(Answer& answer, const std::function<void(const json::Value&)>& action);
// Parses and renders a template over one value, as `inspect` does; errors start "template parsing error" and exit 64
// when the template itself is wrong.
std::string render_value(const json::Value& value, std::string_view source);
// The same for `version`, whose template has a name and whose errors stand for themselves.
std::string render_named(const json::Value& value, std::string_view source, const std::string& name,
                         const std::string& type);

}  // namespace bryo::cli

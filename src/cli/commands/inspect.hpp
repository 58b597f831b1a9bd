// The common half of all forms of inspect.
#pragma once

#include <functional>
#include <string>

#include "cli/commands/context.hpp"

namespace bryo::cli {

// Prints what `find` gives for every word: as one indented array, as compact JSON, or through the template of --format.
// What is not found is reported at the end; 1 then.
int inspect_each(Context& context, const Arguments& arguments,
                 const std::function<json::Value(const std::string&)>& find);

}  // namespace bryo::cli

// The functions that a template may call: Go's own and Docker's (json, split, join, title, lower, upper, pad,
// truncate).
#pragma once

#include <span>
#include <string_view>

#include "base/json.hpp"

namespace bryo::cli::tmpl {

using Arguments = std::span<const json::Value* const>;

bool is_function(std::string_view name);

// Everything but `and` and `or`, which the evaluator does itself because they stop at the first decided operand.
// Throws Error{invalid_argument} with the text that follows "error calling NAME: ", or, for a wrong number of
// arguments, WrongArguments.
json::Value call_function(std::string_view name, Arguments arguments);

struct WrongArguments {
  std::string message;
};

// Go's truth: false, 0, nil, "" and empty collections are false.
bool is_true(const json::Value& value);

}  // namespace bryo::cli::tmpl

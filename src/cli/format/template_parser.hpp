// Text of a Go template → tree. Throws Error{invalid_argument} with Go's wording ("template: :1: unexpected EOF").
#pragma once

#include <string_view>

#include "cli/format/template_ast.hpp"

namespace bryo::cli::tmpl {

Tree parse(std::string_view name, std::string_view source);

}  // namespace bryo::cli::tmpl

// The output of list commands: one row per object, printed as a table, by a template, or as JSON.
//
// A format is "" or "table" (the command's default table), "table TEMPLATE" (that template under headings), "json" (one
// compact object a row), "raw" (the command's raw form), or a template. Rows hold only strings, as Docker's do; text
// from the daemon is made safe for terminals when a table is printed.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/format/template.hpp"

namespace bryo::cli {

struct Column {
  std::string_view field;    // {{.Field}}
  std::string_view heading;  // "CONTAINER ID"
};

struct ListStyle {
  std::string_view table;               // default columns: "{{.ID}}\t{{.Image}}"
  std::string_view quiet;               // what -q prints a row; empty: no -q
  std::vector<Column> columns;          // every field that a row has
  std::string_view type = "formatter";  // Go's type name in errors
};

struct Row {
  json::Value fields;  // an object, column by column
  Template::Method method;
};

// Throws Error{invalid_argument} "failed to parse template: …" or "failed to execute template: …".
std::string format_list(const ListStyle& style, std::string_view format, bool quiet, const std::vector<Row>& rows);

}  // namespace bryo::cli

#include "cli/format/listing.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"
#include "cli/format/escape.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/tabwriter.hpp"

namespace bryo::cli {
namespace {

// "\t" and "\n" written out in a --format argument mean the characters.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool pair = text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 't' || text[i + 1] == 'n');
    out += pair ? (text[i + 1] == 't' ? '\t' : '\n') : text[i];
    if (pair) ++i;
  }
  return out;
}

Template parsed(std::string_view text) {
  try {
    return Template::parse(text);
  } catch (const Error& error) {
    throw error.within("failed to parse template");
  }
}

std::string rendered(const Template& tmpl, const Template::Data& data) {
  try {
    return tmpl.render(data);
  } catch (const Error& error) {
    throw error.within("failed to execute template");
  }
}

std::string render_row(const Template& tmpl, const ListStyle& style, const Row& row) {
  Template::Data data;
  data.root = &row.fields;
  data.type = style.type;
  data.method = row.method;
  return rendered(tmpl, data);
}

std::string table(const ListStyle& style, const std::string& body, const std::vector<Row>& rows) {
  const Template tmpl = parsed(body);
  json::Object headings;
  for (const Column& column : style.columns)
    headings.emplace(boost::json::string_view(column.field.data(), column.field.size()), std::string(column.heading));
  const json::Value root = headings;
  Template::Data data;
  data.root = &root;
  data.heading = true;
  data.method = [](std::string_view name, std::span<const json::Value* const> arguments) -> std::optional<json::Value> {
    // {{.Label "x"}} heads its column with the label's name.
    if (name != "Label" || arguments.size() != 1) return std::nullopt;
    return *arguments[0];
  };
  std::string text;
  for (const Row& row : rows) text += terminal_safe(render_row(tmpl, style, row), true) + "\n";
  return align_tabs(rendered(tmpl, data) + "\n" + text);
}

}  // namespace

std::string format_list(const ListStyle& style, std::string_view format, bool quiet, const std::vector<Row>& rows) {
  const bool is_table = format.empty() || format == "table" || format.starts_with("table ");
  if (quiet && !style.quiet.empty() && (format.empty() || format == "table")) {
    const Template tmpl = parsed(style.quiet);
    std::string out;
    for (const Row& row : rows) out += render_row(tmpl, style, row) + "\n";
    return out;
  }
  if (is_table) {
    const bool own = format.starts_with("table ");
    return table(style, own ? unescaped(trim(format.substr(6))) : std::string(style.table), rows);
  }
  std::string out;
  if (format == "json") {
    for (const Row& row : rows) out += compact_json(sorted_by_key(row.fields), true) + "\n";
    return out;
  }
  const Template tmpl = parsed(unescaped(trim(format)));
  for (const Row& row : rows) out += render_row(tmpl, style, row) + "\n";
  return out;
}

}  // namespace bryo::cli

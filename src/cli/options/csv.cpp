#include "cli/options/csv.hpp"

#include "base/error.hpp"

namespace bryo::cli {
namespace {

// From behind the opening quote to behind the closing one.
std::string quoted_field(std::string_view& rest) {
  std::string field;
  while (true) {
    const auto quote = rest.find('"');
    if (quote == std::string_view::npos)
      fail(ErrorKind::invalid_argument, "parse error on line 1: extraneous or missing \" in quoted-field");
    field += rest.substr(0, quote);
    rest.remove_prefix(quote + 1);
    if (!rest.starts_with('"')) return field;
    field += '"';
    rest.remove_prefix(1);
  }
}

}  // namespace

std::vector<std::string> split_csv(std::string_view line) {
  std::vector<std::string> fields;
  while (true) {
    if (line.starts_with('"')) {
      line.remove_prefix(1);
      fields.push_back(quoted_field(line));
      if (!line.empty() && line[0] != ',')
        fail(ErrorKind::invalid_argument, "parse error on line 1: extraneous or missing \" in quoted-field");
    } else {
      const auto end = line.find(',');
      const std::string_view field = line.substr(0, end);
      if (field.find('"') != std::string_view::npos)
        fail(ErrorKind::invalid_argument, "parse error on line 1: bare \" in non-quoted-field");
      fields.emplace_back(field);
      line.remove_prefix(field.size());
    }
    if (line.empty()) return fields;
    line.remove_prefix(1);
  }
}

}  // namespace bryo::cli

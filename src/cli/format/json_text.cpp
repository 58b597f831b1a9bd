#include "cli/format/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace bryo::cli {
namespace {

void append_escaped(std::string_view text, bool html, std::string& out) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\')
      (out += '\\') += text[i];
    else if (byte == '\n')
      out += "\\n";
    else if (byte == '\r')
      out += "\\r";
    else if (byte == '\t')
      out += "\\t";
    else if (byte < 0x20 || (html && (byte == '<' || byte == '>' || byte == '&')))
      out += fmt::format("\\u{:04x}", byte);
    else if (byte == 0xe2 && (text.substr(i, 3) == "\xe2\x80\xa8" || text.substr(i, 3) == "\xe2\x80\xa9"))
      out += text[(i += 2)] == '\xa8' ? "\\u2028" : "\\u2029";
    else
      out += text[i];
  }
  out += '"';
}

// `step` is the indentation of one level; empty writes everything on one line.
class Writer {
 public:
  Writer(std::string& out, std::string_view step, bool html) : out_(out), step_(step), html_(html) {}

  void write(const json::Value& value, std::size_t depth = 0) {
    switch (value.kind()) {
      case boost::json::kind::object:
        return write_object(value.get_object(), depth);
      case boost::json::kind::array:
        return write_array(value.get_array(), depth);
      case boost::json::kind::string:
        return append_escaped({value.get_string().data(), value.get_string().size()}, html_, out_);
      case boost::json::kind::double_:
        out_ += go_number(value.get_double());
        return;
      case boost::json::kind::int64:
        out_ += std::to_string(value.get_int64());
        return;
      case boost::json::kind::uint64:
        out_ += std::to_string(value.get_uint64());
        return;
      case boost::json::kind::bool_:
        out_ += value.get_bool() ? "true" : "false";
        return;
      case boost::json::kind::null:
        out_ += "null";
        return;
    }
  }

 private:
  void write_object(const json::Object& object, std::size_t depth) {
    out_ += '{';
    bool first = true;
    for (const auto& item : object) {
      next_item(first, depth + 1);
      append_escaped({item.key().data(), item.key().size()}, html_, out_);
      out_ += step_.empty() ? ":" : ": ";
      write(item.value(), depth + 1);
    }
    if (!first) new_line(depth);
    out_ += '}';
  }

  void write_array(const json::Array& array, std::size_t depth) {
    out_ += '[';
    bool first = true;
    for (const json::Value& item : array) {
      next_item(first, depth + 1);
      write(item, depth + 1);
    }
    if (!first) new_line(depth);
    out_ += ']';
  }

  void next_item(bool& first, std::size_t depth) {
    if (!first) out_ += ',';
    first = false;
    new_line(depth);
  }

  void new_line(std::size_t depth) {
    if (step_.empty()) return;
    out_ += '\n';
    for (std::size_t i = 0; i < depth; ++i) out_ += step_;
  }

  std::string& out_;
  std::string_view step_;
  bool html_;
};

}  // namespace

std::string go_number(double value) {
  char text[64];
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-6 || size >= 1e21);
  const auto form = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto result = std::to_chars(text, text + sizeof text, value, form);
  return std::string(text, result.ptr);
}

json::Value sorted_by_key(const json::Value& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.as_object()) keys.emplace_back(item.key().data(), item.key().size());
  std::sort(keys.begin(), keys.end());
  json::Object out;
  for (const std::string& key : keys) out.emplace(key, object.as_object().at(key));
  return out;
}

std::string compact_json(const json::Value& value, bool html) {
  std::string out;
  Writer(out, {}, html).write(value);
  return out;
}

std::string indented_json(const json::Value& value, std::string_view step) {
  std::string out;
  Writer(out, step, false).write(value);
  return out;
}

}  // namespace bryo::cli

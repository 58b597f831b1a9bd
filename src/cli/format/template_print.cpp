#include "cli/format/template_print.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "cli/format/json_text.hpp"

namespace bryo::cli::tmpl {
namespace {

using Kind = boost::json::kind;

constexpr std::array<std::string_view, 22> kMapNames = {"Labels",
                                                        "Ports",
                                                        "Networks",
                                                        "Data",
                                                        "Options",
                                                        "Annotations",
                                                        "Sysctls",
                                                        "Tmpfs",
                                                        "Volumes",
                                                        "DriverOpts",
                                                        "StorageOpt",
                                                        "Config",
                                                        "Containers",
                                                        "PortBindings",
                                                        "Runtimes",
                                                        "Status",
                                                        "IndexConfigs",
                                                        "ExposedPorts",
                                                        "AuxiliaryAddresses",
                                                        "Services",
                                                        "LogOpts",
                                                        "EndpointsConfig"};
// Pointers in docker's types: null prints as <nil>, not as an empty list.
constexpr std::array<std::string_view, 13> kPointerNames = {"Health",
                                                            "Healthcheck",
                                                            "OomKillDisable",
                                                            "PidsLimit",
                                                            "Init",
                                                            "IPAMConfig",
                                                            "StopTimeout",
                                                            "SizeRw",
                                                            "SizeRootFs",
                                                            "UsageData",
                                                            "ClusterVolume",
                                                            "MemorySwappiness",
                                                            "ImageManifestDescriptor"};

std::string_view view(const boost::json::string& text) { return {text.data(), text.size()}; }

std::string map_text(const json::Object& object) {
  std::map<std::string, const json::Value*> sorted;
  for (const auto& item : object) sorted.emplace(std::string(item.key().data(), item.key().size()), &item.value());
  std::string out = "map[";
  for (const auto& [key, value] : sorted) {
    if (out.size() > 4) out += ' ';
    out += key + ":" + go_text(*value);
  }
  return out + "]";
}

std::string struct_text(const json::Object& object) {
  std::string out = "{";
  for (const auto& item : object) {
    if (out.size() > 1 || &item != &*object.begin()) out += ' ';
    out += go_text(item.value(), {item.key().data(), item.key().size()});
  }
  return out + "}";
}

std::string_view go_type(const json::Value& value) {
  switch (value.kind()) {
    case Kind::string:
      return "string";
    case Kind::bool_:
      return "bool";
    case Kind::double_:
      return "float64";
    case Kind::int64:
    case Kind::uint64:
      return "int";
    case Kind::array:
      return "[]interface {}";
    default:
      return "map[string]interface {}";
  }
}

struct Verb {
  bool minus = false, plus = false, zero = false, space = false, sharp = false;
  int width = -1;
  int precision = -1;
  char letter = 'v';
};

std::string padded(std::string text, const Verb& verb) {
  std::size_t runes = 0;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) ++runes;
  if (verb.width < 0 || runes >= static_cast<std::size_t>(verb.width)) return text;
  const std::string fill(static_cast<std::size_t>(verb.width) - runes, ' ');
  return verb.minus ? text + fill : fill + text;
}

std::string limited(std::string_view text, int precision) {
  if (precision < 0) return std::string(text);
  std::size_t end = 0;
  for (int runes = 0; end < text.size(); ++end)
    if ((static_cast<unsigned char>(text[end]) & 0xc0U) != 0x80U && runes++ == precision) break;
  return std::string(text.substr(0, end));
}

std::string bad_verb(const Verb& verb, const json::Value& value) {
  if (value.is_null()) return fmt::format("%!{}(<nil>)", verb.letter);
  return fmt::format("%!{}({}={})", verb.letter, go_type(value), go_text(value));
}

// The C library's conversion with the same flags; `letters` is the length modifier and the conversion.
template <typename Number>
std::string converted(const Verb& verb, const char* letters, Number number) {
  std::string format = "%";
  if (verb.minus) format += '-';
  if (verb.plus) format += '+';
  if (verb.zero && !verb.minus) format += '0';
  if (verb.space) format += ' ';
  if (verb.sharp) format += '#';
  if (verb.width >= 0) format += std::to_string(verb.width);
  if (verb.precision >= 0) format += "." + std::to_string(verb.precision);
  format += letters;
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), format.c_str(), number);
  return text.data();
}

std::string integer_text(const Verb& verb, const json::Value& value) {
  const long long number = value.is_uint64() ? static_cast<long long>(value.get_uint64()) : value.get_int64();
  switch (verb.letter) {
    case 'd':
      return converted(verb, "lld", number);
    case 'x':
      return converted(verb, "llx", number);
    case 'X':
      return converted(verb, "llX", number);
    case 'o':
      return converted(verb, "llo", number);
    case 'b':
      return padded(fmt::format("{:b}", number), verb);
    case 'c':
      return padded(std::string(1, static_cast<char>(number & 0x7f)), verb);
    default:
      return bad_verb(verb, value);
  }
}

std::string double_text(const Verb& verb, const json::Value& value) {
  const double number = value.get_double();
  switch (verb.letter) {
    case 'f':
    case 'F':
      return converted(verb, "f", number);
    case 'e':
      return converted(verb, "e", number);
    case 'g':
      return verb.precision < 0 ? padded(go_number(number), verb) : converted(verb, "g", number);
    default:
      return bad_verb(verb, value);
  }
}

std::string hex_text(const Verb& verb, std::string_view text) {
  std::string out;
  for (const char c : text)
    out += verb.letter == 'x' ? fmt::format("{:02x}", static_cast<unsigned char>(c))
                              : fmt::format("{:02X}", static_cast<unsigned char>(c));
  return out;
}

std::string format_one(const Verb& verb, const json::Value& value) {
  if (verb.letter == 'v') return padded(value.is_null() ? "<nil>" : go_text(value), verb);
  if (verb.letter == 'T') return padded(value.is_null() ? "<nil>" : std::string(go_type(value)), verb);
  switch (value.kind()) {
    case Kind::string:
      if (verb.letter == 's') return padded(limited(view(value.get_string()), verb.precision), verb);
      if (verb.letter == 'q') return padded(go_quote(limited(view(value.get_string()), verb.precision)), verb);
      if (verb.letter == 'x' || verb.letter == 'X') return padded(hex_text(verb, view(value.get_string())), verb);
      return bad_verb(verb, value);
    case Kind::int64:
    case Kind::uint64:
      return integer_text(verb, value);
    case Kind::double_:
      return double_text(verb, value);
    case Kind::bool_:
      return verb.letter == 't' ? padded(value.get_bool() ? "true" : "false", verb) : bad_verb(verb, value);
    case Kind::array: {
      std::string out = "[";
      for (const json::Value& item : value.get_array()) {
        if (out.size() > 1) out += ' ';
        out += format_one(verb, item);
      }
      return out + "]";
    }
    default:
      return bad_verb(verb, value);
  }
}

constexpr int kMaxWidth = 200;

Verb take_verb(std::string_view format, std::size_t& at) {
  Verb verb;
  for (; at < format.size(); ++at) {
    const char c = format[at];
    if (c == '-')
      verb.minus = true;
    else if (c == '+')
      verb.plus = true;
    else if (c == '0')
      verb.zero = true;
    else if (c == ' ')
      verb.space = true;
    else if (c == '#')
      verb.sharp = true;
    else
      break;
  }
  const auto digits = [&] {
    int number = 0;
    for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at)
      number = std::min(number * 10 + (format[at] - '0'), kMaxWidth);
    return number;
  };
  if (at < format.size() && format[at] >= '1' && format[at] <= '9') verb.width = digits();
  if (at < format.size() && format[at] == '.') {
    ++at;
    verb.precision = digits();
  }
  return verb;
}

}  // namespace

bool is_map_name(std::string_view name) {
  return std::find(kMapNames.begin(), kMapNames.end(), name) != kMapNames.end();
}

std::string go_text(const json::Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::string:
      return std::string(view(value.get_string()));
    case Kind::bool_:
      return value.get_bool() ? "true" : "false";
    case Kind::double_:
      return go_number(value.get_double());
    case Kind::int64:
      return std::to_string(value.get_int64());
    case Kind::uint64:
      return std::to_string(value.get_uint64());
    case Kind::array: {
      std::string out = "[";
      for (const json::Value& item : value.get_array()) {
        if (&item != value.get_array().data()) out += ' ';
        out += go_text(item);
      }
      return out + "]";
    }
    case Kind::object:
      return is_map_name(name) ? map_text(value.get_object()) : struct_text(value.get_object());
    case Kind::null:
      if (name.empty() || std::find(kPointerNames.begin(), kPointerNames.end(), name) != kPointerNames.end())
        return "<nil>";
      return is_map_name(name) ? "map[]" : "[]";
  }
  return {};
}

std::string go_print(std::span<const json::Value* const> values) {
  std::string out;
  bool previous_string = true;
  for (const json::Value* value : values) {
    const bool string = value->is_string();
    if (!string && !previous_string) out += ' ';
    out += go_text(*value);
    previous_string = string;
  }
  return out;
}

std::string go_println(std::span<const json::Value* const> values) {
  std::string out;
  for (const json::Value* value : values) {
    if (value != values.front()) out += ' ';
    out += go_text(*value);
  }
  return out + "\n";
}

std::string go_printf(std::string_view format, std::span<const json::Value* const> values) {
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      out += format[at++];
      continue;
    }
    ++at;
    Verb verb = take_verb(format, at);
    if (at >= format.size()) return out + "%!(NOVERB)";
    verb.letter = format[at++];
    if (verb.letter == '%')
      out += '%';
    else if (next >= values.size())
      out += fmt::format("%!{}(MISSING)", verb.letter);
    else
      out += format_one(verb, *values[next++]);
  }
  if (next < values.size()) {
    out += "%!(EXTRA ";
    for (std::size_t i = next; i < values.size(); ++i) {
      if (i != next) out += ", ";
      out += fmt::format("{}={}", go_type(*values[i]), go_text(*values[i]));
    }
    out += ')';
  }
  return out;
}

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out + '"';
}

}  // namespace bryo::cli::tmpl

#include "cli/format/template_functions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <compare>

#include "base/strings.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/template_print.hpp"

namespace bryo::cli::tmpl {
namespace {

using json::Value;
using Kind = boost::json::kind;

[[noreturn]] void complain(const std::string& message) { throw Error(ErrorKind::invalid_argument, message); }

std::string text_of(const Value& value) {
  if (!value.is_string()) complain("wrong type for value; expected string");
  return std::string(value.get_string().data(), value.get_string().size());
}

std::int64_t integer_of(const Value& value) {
  if (!value.is_int64()) complain("expected integer");
  return value.get_int64();
}

bool is_number(const Value& value) { return value.is_int64() || value.is_uint64() || value.is_double(); }

std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_int64() && b.is_int64()) return a.get_int64() <=> b.get_int64();
  return a.to_number<double>() <=> b.to_number<double>();
}

// Go refuses to compare an int with a float; JSON has one kind of number, so here they compare.
bool equal(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  if (a.kind() != b.kind()) complain("incompatible types for comparison");
  if (a.is_object() || a.is_array()) complain("non-comparable type");
  return a == b;
}

bool less(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) return compare_numbers(a, b) < 0;
  if (a.kind() != b.kind()) complain("incompatible types for comparison");
  if (!a.is_string()) complain("invalid type for comparison");
  return a.get_string() < b.get_string();
}

Value fn_not(Arguments a) { return Value(!is_true(*a[0])); }
Value fn_eq(Arguments a) {
  for (const Value* candidate : a.subspan(1))
    if (equal(*a[0], *candidate)) return Value(true);
  return Value(false);
}
Value fn_ne(Arguments a) { return Value(!equal(*a[0], *a[1])); }
Value fn_lt(Arguments a) { return Value(less(*a[0], *a[1])); }
Value fn_ge(Arguments a) { return Value(!less(*a[0], *a[1])); }
Value fn_gt(Arguments a) { return Value(less(*a[1], *a[0])); }
Value fn_le(Arguments a) { return Value(!less(*a[1], *a[0])); }

std::size_t position_of(const Value& index, std::size_t size) {
  if (!index.is_int64()) complain("cannot index slice/array with type " + go_printf("%T", std::array{&index}));
  const std::int64_t at = index.get_int64();
  if (at < 0 || static_cast<std::uint64_t>(at) >= size) complain(fmt::format("index out of range: {}", at));
  return static_cast<std::size_t>(at);
}

Value fn_index(Arguments a) {
  const Value* at = a[0];
  Value element;
  for (const Value* index : a.subspan(1)) {
    if (at->is_array()) {
      at = &at->get_array()[position_of(*index, at->get_array().size())];
    } else if (at->is_string()) {
      element = Value(static_cast<unsigned char>(at->get_string()[position_of(*index, at->get_string().size())]));
      element = Value(static_cast<std::int64_t>(element.to_number<std::int64_t>()));
      at = &element;
    } else if (at->is_object()) {
      const std::string key = text_of(*index);
      const Value* found = at->get_object().if_contains(key);
      if (found == nullptr)
        return Value("");  // Go's zero value; Docker's maps hold strings, or lists to test with {{if}}
      at = found;
    } else if (at->is_null()) {
      complain("index of untyped nil");
    } else {
      complain("can't index item of type " + go_printf("%T", std::array{at}));
    }
  }
  return *at;
}

Value fn_slice(Arguments a) {
  const Value& item = *a[0];
  if (!item.is_string() && !item.is_array()) complain("can't slice item of type " + go_printf("%T", std::array{&item}));
  const std::size_t size = item.is_string() ? item.get_string().size() : item.get_array().size();
  std::array<std::int64_t, 2> bounds = {0, static_cast<std::int64_t>(size)};
  for (std::size_t i = 1; i < a.size() && i <= 2; ++i) {
    bounds[i - 1] = integer_of(*a[i]);
    if (bounds[i - 1] < 0 || static_cast<std::uint64_t>(bounds[i - 1]) > size)
      complain(fmt::format("index out of range: {}", bounds[i - 1]));
  }
  if (bounds[0] > bounds[1]) complain(fmt::format("invalid slice index: {} > {}", bounds[0], bounds[1]));
  const auto first = static_cast<std::size_t>(bounds[0]);
  const auto count = static_cast<std::size_t>(bounds[1] - bounds[0]);
  if (item.is_string()) return Value(item.get_string().subview(first, count));
  json::Array out;
  for (std::size_t i = first; i < first + count; ++i) out.push_back(item.get_array()[i]);
  return out;
}

Value fn_len(Arguments a) {
  switch (a[0]->kind()) {
    case Kind::string:
      return Value(static_cast<std::int64_t>(a[0]->get_string().size()));
    case Kind::array:
      return Value(static_cast<std::int64_t>(a[0]->get_array().size()));
    case Kind::object:
      return Value(static_cast<std::int64_t>(a[0]->get_object().size()));
    case Kind::null:
      return Value(std::int64_t{0});  // a nil slice or map
    default:
      complain("len of type " + go_printf("%T", std::array{a[0]}));
  }
}

Value fn_print(Arguments a) { return Value(go_print(a)); }
Value fn_println(Arguments a) { return Value(go_println(a)); }
Value fn_printf(Arguments a) { return Value(go_printf(text_of(*a[0]), a.subspan(1))); }

std::string replaced(std::string_view text, std::string_view what, std::initializer_list<std::string_view> with) {
  std::string out;
  for (const char c : text) {
    const auto at = what.find(c);
    if (at == std::string_view::npos)
      out += c;
    else
      out += *(with.begin() + at);
  }
  return out;
}

Value fn_html(Arguments a) {
  return Value(replaced(go_print(a), "\"'&<>", {"&#34;", "&#39;", "&amp;", "&lt;", "&gt;"}));
}
Value fn_js(Arguments a) {
  return Value(
      replaced(go_print(a), "\\'\"<>&=\n\r\t",
               {"\\\\", "\\'", "\\\"", "\\u003C", "\\u003E", "\\u0026", "\\u003D", "\\u000A", "\\u000D", "\\u0009"}));
}
Value fn_urlquery(Arguments a) {
  std::string out;
  for (const char c : go_print(a)) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-_.~").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else if (c == ' ')
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return Value(out);
}

Value fn_json(Arguments a) { return Value(compact_json(*a[0])); }
Value fn_lower(Arguments a) { return Value(to_lower(text_of(*a[0]))); }
Value fn_upper(Arguments a) {
  std::string text = text_of(*a[0]);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return Value(text);
}
Value fn_title(Arguments a) {
  std::string text = text_of(*a[0]);
  bool start = true;
  for (char& c : text) {
    if (start && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    start = std::string_view(" \t\n-").find(c) != std::string_view::npos;
  }
  return Value(text);
}

Value fn_split(Arguments a) {
  const std::string text = text_of(*a[0]);
  const std::string separator = text_of(*a[1]);
  json::Array out;
  if (separator.empty()) {
    for (const char c : text) out.push_back(Value(std::string(1, c)));
    return out;
  }
  std::size_t at = 0;
  while (true) {
    const auto next = text.find(separator, at);
    out.push_back(Value(text.substr(at, next == std::string::npos ? next : next - at)));
    if (next == std::string::npos) return out;
    at = next + separator.size();
  }
}

Value fn_join(Arguments a) {
  const std::string separator = text_of(*a[1]);
  if (a[0]->is_null()) return Value("");
  if (!a[0]->is_array()) complain("wrong type for value; expected []string");
  std::string out;
  for (const Value& item : a[0]->get_array()) {
    if (&item != a[0]->get_array().data()) out += separator;
    out += text_of(item);
  }
  return Value(out);
}

constexpr std::int64_t kMaxPadding = 1000;

Value fn_pad(Arguments a) {
  const std::string text = text_of(*a[0]);
  if (text.empty()) return Value("");
  const auto blanks = [](const Value& count) {
    return std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(integer_of(count), 0, kMaxPadding)), ' ');
  };
  return Value(blanks(*a[1]) + text + blanks(*a[2]));
}

Value fn_truncate(Arguments a) {
  const std::string text = text_of(*a[0]);
  const std::int64_t limit = integer_of(*a[1]);
  if (limit < 0 || static_cast<std::uint64_t>(limit) >= text.size()) return Value(text);
  return Value(text.substr(0, static_cast<std::size_t>(limit)));
}

Value fn_call(Arguments) { complain("no value here can be called"); }

struct Function {
  std::string_view name;
  std::size_t minimum;
  std::size_t maximum;
  Value (*run)(Arguments);
};

constexpr std::size_t kAny = 1000;

constexpr std::array<Function, 27> kFunctions = {{
    {"and", 1, kAny, nullptr},
    {"or", 1, kAny, nullptr},
    {"not", 1, 1, fn_not},
    {"eq", 2, kAny, fn_eq},
    {"ne", 2, 2, fn_ne},
    {"lt", 2, 2, fn_lt},
    {"le", 2, 2, fn_le},
    {"gt", 2, 2, fn_gt},
    {"ge", 2, 2, fn_ge},
    {"index", 1, kAny, fn_index},
    {"slice", 1, 4, fn_slice},
    {"len", 1, 1, fn_len},
    {"print", 0, kAny, fn_print},
    {"printf", 1, kAny, fn_printf},
    {"println", 0, kAny, fn_println},
    {"html", 0, kAny, fn_html},
    {"js", 0, kAny, fn_js},
    {"urlquery", 0, kAny, fn_urlquery},
    {"call", 1, kAny, fn_call},
    {"json", 1, 1, fn_json},
    {"split", 2, 2, fn_split},
    {"join", 2, 2, fn_join},
    {"title", 1, 1, fn_title},
    {"lower", 1, 1, fn_lower},
    {"upper", 1, 1, fn_upper},
    {"pad", 3, 3, fn_pad},
    {"truncate", 2, 2, fn_truncate},
}};

const Function* find_function(std::string_view name) {
  for (const Function& function : kFunctions)
    if (!name.empty() && function.name == name) return &function;
  return nullptr;
}

}  // namespace

bool is_function(std::string_view name) { return find_function(name) != nullptr; }

Value call_function(std::string_view name, Arguments arguments) {
  const Function* function = find_function(name);
  if (function == nullptr) complain("not defined");
  if (arguments.size() < function->minimum || arguments.size() > function->maximum) {
    const bool variadic = function->maximum == kAny;
    throw WrongArguments{fmt::format("wrong number of args for {}: want {}{} got {}", name, variadic ? "at least " : "",
                                     function->minimum, arguments.size())};
  }
  return function->run == nullptr ? Value() : function->run(arguments);
}

bool is_true(const Value& value) {
  switch (value.kind()) {
    case Kind::null:
      return false;
    case Kind::bool_:
      return value.get_bool();
    case Kind::string:
      return !value.get_string().empty();
    case Kind::array:
      return !value.get_array().empty();
    case Kind::object:
      return !value.get_object().empty();
    default:
      return value.to_number<double>() != 0;
  }
}

}  // namespace bryo::cli::tmpl

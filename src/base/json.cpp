#include "base/json.hpp"

#include <cmath>

#include "base/strings.hpp"

namespace bryo::json {
namespace {

constexpr std::size_t kMaxDepth = 64;

void indent(std::string& out, std::size_t depth) { out.append(depth * 4, ' '); }

void pretty_into(const Value& value, std::size_t depth, std::string& out) {
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    bool first = true;
    for (const auto& item : *object) {
      if (!std::exchange(first, false)) out += ",\n";
      indent(out, depth + 1);
      out += boost::json::serialize(Value(item.key()));
      out += ": ";
      pretty_into(item.value(), depth + 1, out);
    }
    out += '\n';
    indent(out, depth);
    out += '}';
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += "[\n";
    bool first = true;
    for (const Value& item : *array) {
      if (!std::exchange(first, false)) out += ",\n";
      indent(out, depth + 1);
      pretty_into(item, depth + 1, out);
    }
    out += '\n';
    indent(out, depth);
    out += ']';
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

Value parse(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::error_code error;
  Value value = boost::json::parse({text.data(), text.size()}, error, {}, options);
  if (error) fail(ErrorKind::invalid_argument, "invalid JSON: {}", error.message());
  detail::refuse_duplicate_keys(text);
  return value;
}

std::string serialize(const Value& value) {
  // Boost writes 1E0 for a double 1.0; Go and every client read both, but whole numbers are kept plain for people.
  return boost::json::serialize(value);
}

std::string pretty(const Value& value) {
  std::string out;
  pretty_into(value, 0, out);
  return out;
}

namespace detail {

void wrong_type(const std::string& path, std::string_view expected) {
  fail(ErrorKind::invalid_argument, "invalid JSON: {}: expected {}", path.empty() ? "document" : printable(path),
       expected);
}

const Value* find(const Object& object, std::string_view name) {
  if (const Value* exact = object.if_contains({name.data(), name.size()})) return exact;
  for (const auto& item : object)
    if (iequals({item.key().data(), item.key().size()}, name)) return &item.value();
  return nullptr;
}

std::int64_t to_int64(const Value& value, const std::string& path) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64() && value.get_uint64() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return static_cast<std::int64_t>(value.get_uint64());
  // "1e3" is an integer for JSON, though Go would refuse it; exactly representable doubles only.
  if (value.is_double() && std::nearbyint(value.get_double()) == value.get_double() &&
      std::fabs(value.get_double()) < 9e15)
    return static_cast<std::int64_t>(value.get_double());
  wrong_type(path, "an integer");
}

std::uint64_t to_uint64(const Value& value, const std::string& path) {
  if (value.is_uint64()) return value.get_uint64();
  const std::int64_t wide = to_int64(value, path);
  if (wide < 0) wrong_type(path, "a number that is not negative");
  return static_cast<std::uint64_t>(wide);
}

double to_double(const Value& value, const std::string& path) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  wrong_type(path, "a number");
}

}  // namespace detail

}  // namespace bryo::json

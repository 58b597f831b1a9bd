// JSON at the edges: inside Bryo are plain structs, and one description of a struct serves reading and writing.
//
//   struct Port { std::string ip; std::uint16_t number = 0; };
//   template <> struct bryo::json::Fields<Port> {
//     static constexpr auto list = std::tuple{field("HostIp", &Port::ip), field("HostPort", &Port::number,
//     omit_empty)};
//   };
//   Port p = json::decode<Port>(json::parse(text));      json::Value v = json::encode(p);
//
// Reading follows Go's encoding/json, which Docker's clients rely on: keys match without regard to case, unknown keys
// are ignored, null leaves the default. Unlike Go it refuses duplicate keys, depth above 64 and integers that do not
// fit: Error{invalid_argument} naming the path ("HostConfig.Memory: expected an integer"). Writing keeps the order of
// the list.
#pragma once

#include <boost/json.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/error.hpp"

namespace bryo::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

// One whole document, bounded in depth; throws Error{invalid_argument}.
Value parse(std::string_view text);
std::string serialize(const Value& value);
// Indented by two blanks, as `docker inspect` prints.
std::string pretty(const Value& value);

enum class Omit { never, when_empty };
inline constexpr Omit omit_empty = Omit::when_empty;

template <typename Struct, typename Member>
struct Field {
  std::string_view name;
  Member Struct::*member;
  Omit omit;
};

template <typename Struct, typename Member>
constexpr Field<Struct, Member> field(std::string_view name, Member Struct::*member, Omit omit = Omit::never) {
  return {name, member, omit};
}

template <typename T>
struct Fields;  // specialise with: static constexpr auto list = std::tuple{field(…), …};

template <typename T>
concept Described = requires {
  Fields<T>::list;
};

// A type that writes and reads itself, for shapes that a list of fields cannot say (a string or an array, …).
template <typename T>
concept Custom = requires(const T& value, T& out, const Value& json, const std::string& path) {
  { value.encode_json() } -> std::convertible_to<Value>;
  out.decode_json(json, path);
};

namespace detail {

template <typename T>
struct is_optional : std::false_type {};
template <typename T>
struct is_optional<std::optional<T>> : std::true_type {};
template <typename T>
struct is_vector : std::false_type {};
template <typename T>
struct is_vector<std::vector<T>> : std::true_type {};
template <typename T>
struct is_array : std::false_type {};
template <typename T, std::size_t N>
struct is_array<std::array<T, N>> : std::true_type {};
template <typename T>
struct is_map : std::false_type {};
template <typename T>
struct is_map<std::map<std::string, T>> : std::true_type {};

// `text` must be well-formed JSON. Two readers of one document must not see two meanings (CVE-2021-41190).
void refuse_duplicate_keys(std::string_view text);
[[noreturn]] void wrong_type(const std::string& path, std::string_view expected);
// Case-insensitive look-up; nullptr when absent. An exact match wins.
const Value* find(const Object& object, std::string_view name);
std::int64_t to_int64(const Value& value, const std::string& path);
std::uint64_t to_uint64(const Value& value, const std::string& path);
double to_double(const Value& value, const std::string& path);

}  // namespace detail

template <typename T>
Value encode(const T& value);

template <typename T>
void decode_into(const Value& json, T& out, const std::string& path);

template <typename T>
T decode(const Value& json, const std::string& path = "") {
  T out{};
  decode_into(json, out, path);
  return out;
}

namespace detail {

template <typename T>
bool is_empty(const T& value) {
  if constexpr (is_optional<T>::value)
    return !value.has_value();
  else if constexpr (std::is_arithmetic_v<T>)
    return value == T{};
  else if constexpr (std::is_same_v<T, Value>)
    return value.is_null();
  else if constexpr (requires { value.empty(); })
    return value.empty();
  else
    return false;
}

template <typename T>
void encode_fields(const T& value, Object& out) {
  std::apply(
      [&](const auto&... fields) {
        [[maybe_unused]] const auto one = [&](const auto& f) {
          const auto& member = value.*(f.member);
          if (f.omit == Omit::when_empty && is_empty(member)) return;
          out.emplace(boost::json::string_view(f.name.data(), f.name.size()), encode(member));
        };
        (one(fields), ...);
      },
      Fields<T>::list);
}

template <typename T>
void decode_fields(const Value& json, T& out, const std::string& path) {
  if (!json.is_object()) wrong_type(path, "an object");
  const Object& object = json.get_object();
  std::apply(
      [&](const auto&... fields) {
        [[maybe_unused]] const auto one = [&](const auto& f) {
          if (const Value* found = find(object, f.name))
            decode_into(*found, out.*(f.member), path.empty() ? std::string(f.name) : path + "." + std::string(f.name));
        };
        (one(fields), ...);
      },
      Fields<T>::list);
}

template <typename T>
void decode_integer(const Value& json, T& out, const std::string& path) {
  if constexpr (std::is_signed_v<T>) {
    const std::int64_t wide = to_int64(json, path);
    if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max())
      wrong_type(path, "a smaller number");
    out = static_cast<T>(wide);
  } else {
    const std::uint64_t wide = to_uint64(json, path);
    if (wide > std::numeric_limits<T>::max()) wrong_type(path, "a smaller number");
    out = static_cast<T>(wide);
  }
}

}  // namespace detail

template <typename T>
Value encode(const T& value) {
  if constexpr (Custom<T>) {
    return value.encode_json();
  } else if constexpr (std::is_same_v<T, Value> || std::is_same_v<T, bool> || std::is_arithmetic_v<T>) {
    return Value(value);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view text = value;
    return Value(boost::json::string_view(text.data(), text.size()));
  } else if constexpr (detail::is_optional<T>::value) {
    return value ? encode(*value) : Value(nullptr);
  } else if constexpr (detail::is_vector<T>::value || detail::is_array<T>::value) {
    Array out;
    out.reserve(value.size());
    for (const auto& item : value) out.push_back(encode(item));
    return out;
  } else if constexpr (detail::is_map<T>::value) {
    Object out;
    for (const auto& [key, item] : value) out.emplace(key, encode(item));
    return out;
  } else {
    static_assert(Described<T>, "describe the struct with json::Fields");
    Object out;
    detail::encode_fields(value, out);
    return out;
  }
}

template <typename T>
void decode_into(const Value& json, T& out, const std::string& path) {
  if constexpr (std::is_same_v<T, Value>) {
    out = json;
  } else if constexpr (Custom<T>) {
    out.decode_json(json, path);
  } else if constexpr (detail::is_optional<T>::value) {
    if (json.is_null())
      out.reset();
    else
      decode_into(json, out.emplace(), path);
  } else if (json.is_null()) {
    return;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_bool()) detail::wrong_type(path, "true or false");
    out = json.get_bool();
  } else if constexpr (std::is_integral_v<T>) {
    detail::decode_integer(json, out, path);
  } else if constexpr (std::is_floating_point_v<T>) {
    out = static_cast<T>(detail::to_double(json, path));
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) detail::wrong_type(path, "a string");
    out.assign(json.get_string().data(), json.get_string().size());
  } else if constexpr (detail::is_vector<T>::value) {
    if (!json.is_array()) detail::wrong_type(path, "an array");
    out.clear();
    out.reserve(json.get_array().size());
    for (const Value& item : json.get_array()) {
      typename T::value_type element{};
      decode_into(item, element, path + "[" + std::to_string(out.size()) + "]");
      out.push_back(std::move(element));
    }
  } else if constexpr (detail::is_array<T>::value) {
    if (!json.is_array() || json.get_array().size() != out.size())
      detail::wrong_type(path, "an array of " + std::to_string(out.size()));
    for (std::size_t i = 0; i < out.size(); ++i)
      decode_into(json.get_array()[i], out[i], path + "[" + std::to_string(i) + "]");
  } else if constexpr (detail::is_map<T>::value) {
    if (!json.is_object()) detail::wrong_type(path, "an object");
    out.clear();
    for (const auto& item : json.get_object()) {
      const std::string key(item.key().data(), item.key().size());
      decode_into(item.value(), out[key], path + "." + key);
    }
  } else {
    static_assert(Described<T>, "describe the struct with json::Fields");
    detail::decode_fields(json, out, path);
  }
}

}  // namespace bryo::json

// Digest in JSON: a string, validated when read. Include it wherever a described struct holds a Digest.
#pragma once

#include "base/digest.hpp"
#include "base/json.hpp"

namespace bryo::json {

template <>
inline Value encode<Digest>(const Digest& digest) {
  return Value(boost::json::string(digest.str()));
}

// The empty string gives the empty digest, so that optional fields may be left blank.
template <>
inline void decode_into<Digest>(const Value& json, Digest& out, const std::string& path) {
  if (json.is_null()) return;
  if (!json.is_string()) detail::wrong_type(path, "a digest");
  const auto& text = json.get_string();
  if (text.empty()) {
    out = Digest();
    return;
  }
  const auto parsed = Digest::try_parse(std::string_view(text.data(), text.size()));
  if (!parsed) detail::wrong_type(path, "a sha256 digest");
  out = *parsed;
}

}  // namespace bryo::json

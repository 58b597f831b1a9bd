// Looking into the daemon's JSON. What is missing or of another type is empty: an answer must not crash a list.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace bryo::cli {

// Along "A.B.C", or the value itself for ""; null when a step is missing.
const json::Value* find_at(const json::Value& value, std::string_view dotted);
std::string text_at(const json::Value& value, std::string_view dotted);
std::int64_t number_at(const json::Value& value, std::string_view dotted);
double real_at(const json::Value& value, std::string_view dotted);
bool flag_at(const json::Value& value, std::string_view dotted);
// Empty when it is no array or object.
const json::Array& array_at(const json::Value& value, std::string_view dotted);
const json::Object& object_at(const json::Value& value, std::string_view dotted);
std::vector<std::string> texts_at(const json::Value& value, std::string_view dotted);

// The first twelve digits of an id, without "sha256:".
std::string short_id(std::string_view id);
// "a=b,c=d", sorted.
std::string join_labels(const json::Object& labels);
// Go's time.String() in local time: "2026-11-22 02:34:58 +0000 UTC".
std::string local_time(std::int64_t unix_seconds);
// Unix seconds of an RFC 3339 text; 0 when malformed or Docker's never.
std::int64_t unix_time(std::string_view rfc3339);
std::int64_t unix_now();

}  // namespace bryo::cli

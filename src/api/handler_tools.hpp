// What many handlers need: JSON bodies, registry credentials, content types by version, progress streams.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/http.hpp"
#include "base/json.hpp"

namespace bryo::api {

// The body as JSON; null when it is empty. Error{invalid_argument} when it is not JSON or is declared as something
// else.
json::Value read_json(const Request& request);

template <typename T>
T read_json_as(const Request& request) {
  return json::decode<T>(read_json(request));
}

// X-Registry-Auth: URL-safe base64 of a JSON object, with or without padding; null when absent or empty.
json::Value registry_auth(const Request& request);

std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

// Docker's name for a stream of a container's output: frames have a type of their own since 1.42.
std::string stream_type(const Request& request, bool tty);

// Writes JSON lines to `out`, from any of the engine's threads, and never throws. Byte counts are left out while the
// client is behind.
std::function<void(const json::Value&)> progress_lines(BodyWriter& out);

// The value of a parameter that must be there: "bad parameter: path cannot be empty".
const std::string& required(const Request& request, std::string_view name);
// A whole number that must be there and positive (terminal sizes).
unsigned required_size(const Request& request, std::string_view name);

}  // namespace bryo::api

// Base 64 (RFC 4648): the standard alphabet for config.json, the URL alphabet for X-Registry-Auth.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bryo::cli {

std::string encode_base64(std::string_view bytes, bool url_alphabet = false);
// Padding may be missing; anything else that is wrong gives nullopt.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace bryo::cli

// RFC 4648: Basic authentication, X-Registry-Auth.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bryo::registry {

std::string base64_encode(std::string_view bytes);
// Standard and URL-safe alphabet, with or without padding; nullopt for anything else.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace bryo::registry

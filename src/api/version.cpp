#include "api/version.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"

namespace bryo::api {

std::string ApiVersion::str() const { return fmt::format("{}.{}", major, minor); }

std::optional<ApiVersion> ApiVersion::parse(std::string_view text) {
  const auto parts = split(text, '.');
  if (parts.size() > 4) return std::nullopt;
  unsigned numbers[4] = {};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto number = parse_integer<unsigned>(parts[i]);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  return ApiVersion{numbers[0], numbers[1]};
}

}  // namespace bryo::api

// A version of the Engine API, "1.47": which shape does this client expect? Spec: Docker Engine API, version history.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::api {

struct ApiVersion {
  unsigned major = 0;
  unsigned minor = 0;

  auto operator<=>(const ApiVersion&) const = default;
  std::string str() const;
  // "1.47", "1", "999"; nullopt when it is not digits and single dots. Parts after the second are ignored.
  static std::optional<ApiVersion> parse(std::string_view text);
};

inline constexpr ApiVersion kNewestApi{1, 47};
inline constexpr ApiVersion kOldestApi{1, 24};

}  // namespace bryo::api

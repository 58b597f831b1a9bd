// Resource limits: names of getrlimit(2) and what this process has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::kernel {

inline constexpr unsigned kResources = 16;

// "RLIMIT_NOFILE" or "nofile", any case; nullopt when unknown.
std::optional<unsigned> resource_number(std::string_view name);
std::string resource_name(unsigned resource);

struct ResourceLimits {
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};
ResourceLimits own_limits(unsigned resource);

}  // namespace bryo::kernel

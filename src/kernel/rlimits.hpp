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
// The highest hard limit, at most `wanted`, that the kernel lets this process give its children. Capabilities do not
// tell: raising takes CAP_SYS_RESOURCE in the initial user namespace, and no open files beyond fs.nr_open (prlimit(2)).
std::uint64_t attainable_limit(unsigned resource, std::uint64_t wanted);

}  // namespace bryo::kernel

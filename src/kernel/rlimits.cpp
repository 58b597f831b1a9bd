#include "kernel/rlimits.hpp"

#include <sys/resource.h>

#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::kernel {
namespace {

// In the order of their numbers (asm-generic/resource.h, the same on x86 and arm).
constexpr std::array<std::string_view, kResources> kNames = {
    "cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
    "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};

}  // namespace

std::optional<unsigned> resource_number(std::string_view name) {
  const std::string lower = to_lower(name);
  std::string_view bare = lower;
  if (bare.starts_with("rlimit_")) bare.remove_prefix(7);
  for (unsigned i = 0; i < kNames.size(); ++i)
    if (kNames[i] == bare) return i;
  return std::nullopt;
}

std::string resource_name(unsigned resource) {
  std::string name = "RLIMIT_";
  if (resource >= kNames.size()) return name + std::to_string(resource);
  for (const char c : kNames[resource]) name += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

ResourceLimits own_limits(unsigned resource) {
  struct rlimit64 limit = {};
  if (::prlimit64(0, static_cast<__rlimit_resource>(resource), nullptr, &limit) != 0)
    fail_errno("prlimit {}", resource_name(resource));
  return {limit.rlim_cur, limit.rlim_max};
}

}  // namespace bryo::kernel

#include "kernel/rlimits.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"
#include "kernel/files.hpp"

namespace bryo::kernel {
namespace {

// In the order of their numbers (asm-generic/resource.h, the same on x86 and arm).
constexpr std::array<std::string_view, kResources> kNames = {
    "cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
    "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};

bool may_raise(unsigned resource, const ResourceLimits& now, std::uint64_t hard) {
  const auto set = [&](std::uint64_t value) {
    const struct rlimit64 limit = {now.soft, value};
    return ::prlimit64(0, static_cast<__rlimit_resource>(resource), &limit, nullptr) == 0;
  };
  if (!set(hard)) return false;
  if (!set(now.hard)) fail_errno("prlimit {}: back to {}", resource_name(resource), now.hard);
  return true;
}

std::optional<std::uint64_t> most_open_files() {
  const UniqueFd file = open_at(AT_FDCWD, "/proc/sys/fs/nr_open", O_RDONLY);
  return parse_integer<std::uint64_t>(trim(read_file(file.get(), 64)));
}

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

std::uint64_t attainable_limit(unsigned resource, std::uint64_t wanted) {
  const ResourceLimits now = own_limits(resource);
  if (wanted <= now.hard || may_raise(resource, now, wanted)) return wanted;
  const auto most = resource == RLIMIT_NOFILE ? most_open_files() : std::nullopt;
  return most && *most > now.hard && *most < wanted && may_raise(resource, now, *most) ? *most : now.hard;
}

}  // namespace bryo::kernel

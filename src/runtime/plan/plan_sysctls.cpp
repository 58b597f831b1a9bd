// Only sysctls that belong to a namespace of the container's own: anything else would change the host (CVE-2022-0811,
// GHSA-w2j5-3rcx-vx7x).
#include <algorithm>

#include "base/strings.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

// "net.ipv4.conf.eth0/1.x" has its separators exchanged by sysctl(8)'s rule: whichever of '.' and '/' comes first
// separates.
std::string sysctl_path(const std::string& key) {
  std::string path = key;
  const std::size_t first = path.find_first_of("./");
  if (first == std::string::npos || path[first] == '/') return path;
  for (char& c : path) {
    if (c == '.')
      c = '/';
    else if (c == '/')
      c = '.';
  }
  return path;
}

bool is_one_of(std::string_view path, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, path) != names.end();
}

std::optional<Namespace> owner(std::string_view path) {
  if (is_one_of(path, {"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall",
                       "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced", "kernel/msg_next_id",
                       "kernel/sem_next_id", "kernel/shm_next_id"}) ||
      path.starts_with("fs/mqueue/"))
    return Namespace::ipc;
  if (path.starts_with("net/")) return Namespace::network;
  if (is_one_of(path, {"kernel/hostname", "kernel/domainname"})) return Namespace::uts;
  return std::nullopt;
}

void check(const std::string& key, const std::string& path, const std::string& value) {
  for (const std::string_view part : split(path, '/'))
    if (part.empty() || part == "." || part == "..")
      fail(ErrorKind::invalid_argument, "linux.sysctl: malformed name {}", printable(key));
  for (const char c : path + value)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t')
      fail(ErrorKind::invalid_argument, "linux.sysctl: {} has a control character in it", printable(key));
}

}  // namespace

void plan_sysctls(PlanBuilder& builder) {
  for (const auto& [key, value] : builder.os.sysctl) {
    const std::string path = sysctl_path(key);
    check(key, path, value);
    const auto kind = owner(path);
    if (!kind)
      fail(ErrorKind::invalid_argument, "linux.sysctl: \"{}\" is not in a separate kernel namespace", printable(key));
    if (builder.plan.find(*kind) == nullptr)
      fail(ErrorKind::invalid_argument, "linux.sysctl: \"{}\" is not allowed in the host's {} namespace",
           printable(key), to_string(*kind));
    builder.step(SetSysctl{path, value});
  }
}

}  // namespace bryo::runtime

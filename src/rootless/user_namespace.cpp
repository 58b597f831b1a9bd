#include "rootless/user_namespace.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"
#include "kernel/host.hpp"
#include "kernel/program.hpp"
#include "kernel/user_namespace.hpp"

namespace bryo::rootless {
namespace {

constexpr std::uint64_t kExpectedIds = 65536;
constexpr std::size_t kMaxOutput = 4096;

std::vector<ids::IdRange> extents(std::uint32_t own, const std::vector<ids::SubRange>& ranges) {
  std::vector<ids::IdRange> out{{ids::ContainerId{0}, ids::HostId{own}, 1}};
  std::uint32_t next = 1;
  for (const ids::SubRange& range : ranges) {
    out.push_back({ids::ContainerId{next}, range.first, range.count});
    next += range.count;
  }
  return out;
}

ids::IdMap map_of(ids::IdKind kind, const ids::User& user, const ids::SubordinateIds& subordinate) {
  const bool users = kind == ids::IdKind::user;
  const std::string& file = users ? subordinate.sources().subuid : subordinate.sources().subgid;
  const auto ranges = subordinate.ranges(kind, user);
  if (ranges.empty())
    fail(
        ErrorKind::not_found,
        "user \"{}\" has no subordinate {} ids in {}: images with more than one user need them. An administrator gives "
        "some with: usermod --add-sub{}s 165536-231071 {} (a range that nobody else has)",
        user.name, users ? "user" : "group", file, users ? "uid" : "gid", user.name);
  ids::IdMap map = ids::IdMap::from_ranges(extents(users ? user.uid : user.gid, ranges));
  if (map.size() <= kExpectedIds)
    log::warning(
        "user \"{}\" has {} subordinate ids in {}: images expect {}; files and processes with higher ids will "
        "not work",
        user.name, map.size() - 1, file, kExpectedIds);
  return map;
}

// newuidmap PID 0 1000 1 1 100000 65536
void write_map(const std::string& program, pid_t pid, const ids::IdMap& map) {
  std::vector<std::string> command{program, std::to_string(pid)};
  for (const ids::IdRange& range : map.ranges())
    for (const std::uint32_t number : {ids::value(range.container), ids::value(range.host), range.size})
      command.push_back(std::to_string(number));
  try {
    kernel::run_program(command, kMaxOutput);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::unsupported)
      fail(ErrorKind::unsupported, "{}. An administrator installs it with: apt install uidmap", error.message());
    fail(ErrorKind::permission,
         "{}. The program must be set-uid root (or have the capability to set ids), the ids must be the user's in "
         "/etc/subuid and /etc/subgid, and the process must not run with no_new_privs",
         error.message());
  }
}

// Why the kernel may have said no, with the command that helps. Empty when the host's settings allow it.
std::string refusal(int number) {
  if (kernel::read_sysctl("kernel/unprivileged_userns_clone") == "0")
    return "this kernel lets only root make user namespaces. An administrator allows it with: sysctl -w "
           "kernel.unprivileged_userns_clone=1";
  if (kernel::read_sysctl("user/max_user_namespaces") == "0")
    return "this host allows no user namespaces. An administrator allows them with: sysctl -w "
           "user.max_user_namespaces=28633";
  if (kernel::read_sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1")
    return "AppArmor restricts user namespaces of programs without a profile. An administrator installs ours from "
           "packaging/apparmor, see `bryo doctor`";
  const std::string profile = number == EACCES ? kernel::confining_apparmor_profile() : "";
  if (!profile.empty())
    return fmt::format(
        "the AppArmor profile \"{}\", which this process is under, forbids user namespaces. An "
        "administrator gives Bryo's programs a profile of their own, see `bryo doctor`",
        printable(profile, 80));
  return {};
}

unsigned long propagation_flag(const std::string& word) {
  if (word == "rslave" || word.empty()) return MS_SLAVE;
  if (word == "rprivate") return MS_PRIVATE;
  if (word == "rshared") return MS_SHARED;
  fail(ErrorKind::invalid_argument, "propagation \"{}\" is none of rslave, rprivate, rshared", printable(word, 40));
}

}  // namespace

Standing standing() {
  if (::geteuid() != 0) return Standing::user;
  return kernel::in_initial_user_namespace() ? Standing::host_root : Standing::namespace_root;
}

ids::IdMaps maps_of(const ids::User& user, const ids::SubordinateIds& subordinate) {
  return {map_of(ids::IdKind::user, user, subordinate), map_of(ids::IdKind::group, user, subordinate)};
}

void give_maps(const ids::IdMaps& maps, pid_t pid) {
  write_map("newuidmap", pid, maps.uid);
  write_map("newgidmap", pid, maps.gid);
}

Error explain_refusal(const Error& error) {
  const std::string why = error.number() == 0 ? "" : refusal(error.number());
  if (why.empty()) return error.within("become root in a user namespace");
  return {ErrorKind::permission, fmt::format("become root in a user namespace: {}: {}", error.message(), why)};
}

void become_root(const ids::IdMaps& maps, const Entry& entry) {
  const unsigned long propagation = propagation_flag(entry.propagation);
  try {
    kernel::enter_new_user_namespace([&](pid_t pid) { give_maps(maps, pid); }, entry.keep_groups);
    // AppArmor of Ubuntu lets the first be made, and nothing be done in it.
    kernel::enter_new_mount_namespace(propagation);
  } catch (const Error& error) {
    throw explain_refusal(error);
  }
}

ids::HostId uid_outside() {
  const UniqueFd file = kernel::open_at(AT_FDCWD, "/proc/self/uid_map", O_RDONLY);
  const auto map = ids::IdMap::parse_proc_text(kernel::read_file(file.get(), kMaxOutput));
  const auto id = map.to_host(ids::ContainerId{0});
  if (!id) fail(ErrorKind::internal, "uid 0 is not mapped in this user namespace (/proc/self/uid_map)");
  return *id;
}

}  // namespace bryo::rootless

// The mounts of a container, in the order in which they are made: Docker's own file systems, the engine's three files,
// then what was asked for, parents before children.
#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/mount_list.hpp"
#include "engine/spec_parts.hpp"

namespace bryo::engine {
namespace {

using oci::Mount;
using Options = std::vector<std::string>;

bool asked_for(const Record& record, std::string_view destination) {
  return std::any_of(record.mounts.begin(), record.mounts.end(),
                     [&](const ResolvedMount& mount) { return mount.point.destination == destination; });
}

Mount shared_memory(const SpecInputs& inputs) {
  const HostConfig& host = inputs.record->host_config;
  if (host.ipc_mode == "host") return {"/dev/shm", "bind", "/dev/shm", {"rbind", "rprivate"}, {}, {}};
  if (const auto other = inputs.joined.find("shm"); other != inputs.joined.end())
    return {"/dev/shm", "bind", other->second, {"rbind", "rprivate"}, {}, {}};
  return {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", host.shm_size)},
          {},         {}};
}

std::vector<Mount> file_systems(const SpecInputs& inputs) {
  const Record& record = *inputs.record;
  const HostConfig& host = record.host_config;
  const std::string access = host.privileged ? "rw" : "ro";
  std::vector<Mount> out = {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
                            {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
                            {"/dev/pts",
                             "devpts",
                             "devpts",
                             {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
                             {},
                             {}}};
  // sysfs shows one network namespace and only its owner may mount it: with the host's network under a map the host's
  // is bound.
  const bool foreign_network = !record.maps.is_identity() && host.network_mode == "host";
  if (foreign_network)
    out.push_back({"/sys", "bind", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro", "rslave"}, {}, {}});
  else
    out.push_back({"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}, {}, {}});
  // Without root it is version 2 in a cgroup namespace of its own, and the files in it are the user's: an engine inside
  // may divide what this container got.
  const std::string divide = inputs.rootless && is_nested(host) ? "rw" : access;
  if ((!foreign_network || inputs.rootless) && !inputs.cgroup_path.empty())
    out.push_back({"/sys/fs/cgroup", "cgroup", "cgroup", {divide, "nosuid", "noexec", "nodev"}, {}, {}});
  else if (foreign_network && inputs.rootless)
    // The host's cgroups of this user are below the bind, and writable for the container's root (CVE-2023-25809).
    out.push_back({"/sys/fs/cgroup", "tmpfs", "tmpfs", {"ro", "nosuid", "noexec", "nodev", "size=0"}, {}, {}});
  out.push_back({"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}});
  if (host.ipc_mode != "none") out.push_back(shared_memory(inputs));
  std::erase_if(out, [&](const Mount& mount) { return asked_for(record, mount.destination); });
  return out;
}

Mount bind_mount(const ResolvedMount& mount, bool mapped) {
  const char* read_only = mount.recursive && !mount.flat_read_only ? "rro" : "ro";
  Options options = {mount.recursive ? "rbind" : "bind", mount.point.rw ? "rw" : read_only};
  options.push_back(mount.point.propagation.empty() ? "rprivate" : mount.point.propagation);
  if (mount.idmap && mapped) options.emplace_back("idmap");
  return {mount.point.destination, "bind", mount.point.source, std::move(options), {}, {}};
}

Mount tmpfs_mount(const ResolvedMount& mount) {
  Options options = {"nosuid", "nodev", "noexec"};
  bool has_mode = false;
  for (const std::string_view word : split(mount.tmpfs_options, ',')) {
    if (word.empty()) continue;
    if (word == "exec") std::erase(options, "noexec");
    has_mode = has_mode || word.starts_with("mode=");
    options.emplace_back(word);
  }
  if (!has_mode) options.emplace_back("mode=1777");
  if (!mount.point.rw) options.emplace_back("ro");
  return {mount.point.destination, "tmpfs", "tmpfs", std::move(options), {}, {}};
}

}  // namespace

std::vector<oci::Mount> spec_mounts(const SpecInputs& inputs) {
  const Record& record = *inputs.record;
  const bool mapped = !record.maps.keeps_ids();
  std::vector<Mount> out = file_systems(inputs);
  for (const auto& [destination, source] : inputs.files)
    if (!asked_for(record, destination))
      out.push_back({destination,
                     "bind",
                     source,
                     {"rbind", "rprivate", record.host_config.readonly_rootfs ? "ro" : "rw"},
                     {},
                     {}});
  for (const ResolvedMount& mount : record.mounts)
    out.push_back(mount.point.type == "tmpfs" ? tmpfs_mount(mount) : bind_mount(mount, mapped));
  return out;
}

}  // namespace bryo::engine

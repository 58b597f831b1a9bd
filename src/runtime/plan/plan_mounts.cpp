// spec.mounts → sources and steps. Who mounts what: what needs the host's rights (binds, the device tree) becomes a
// source; file systems that belong to the container's namespaces are mounted by the child.
#include <sys/mount.h>

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/plan/mount_options.hpp"
#include "runtime/plan/plan_builder.hpp"

namespace bryo::runtime {
namespace {

constexpr std::uint64_t kDefaultSysAttributes =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// What LXCFS and the like may replace inside /proc; nothing else may be mounted there (CVE-2019-16884).
bool may_be_in_proc(std::string_view target) {
  constexpr std::string_view kAllowed[] = {"/proc/cpuinfo",
                                           "/proc/diskstats",
                                           "/proc/meminfo",
                                           "/proc/stat",
                                           "/proc/swaps",
                                           "/proc/uptime",
                                           "/proc/loadavg",
                                           "/proc/slabinfo",
                                           "/proc/net/dev",
                                           "/proc/sys/kernel/ns_last_pid",
                                           "/proc/sys/crypto/fips_enabled"};
  return std::ranges::find(kAllowed, target) != std::end(kAllowed);
}

bool in_proc(std::string_view target) { return target == "/proc" || target.starts_with("/proc/"); }

struct Entry {
  const oci::Mount& mount;
  std::string field;  // "mounts[3]"
  std::string target;
  MountOptions options;
  bool bind() const { return options.bind || mount.type == "bind"; }
};

// --- binds ---

std::string mapping_text(const std::vector<oci::LinuxIdMapping>& mappings) {
  std::string text;
  for (const auto& m : mappings) text += fmt::format("{} {} {}\n", m.container_id, m.host_id, m.size);
  return text;
}

void choose_idmap(const PlanBuilder& builder, const Entry& entry, BindSource& source) {
  const bool own = !entry.mount.uid_mappings.empty() || !entry.mount.gid_mappings.empty();
  if (!own && !entry.options.idmap) return;
  source.idmap_recursive = entry.options.idmap_recursive;
  if (own) {
    check_mappings(entry.mount.uid_mappings, entry.field + ".uidMappings", true);
    check_mappings(entry.mount.gid_mappings, entry.field + ".gidMappings", true);
    source.idmap = IdMapping::own;
    source.maps = {mapping_text(entry.mount.uid_mappings), mapping_text(entry.mount.gid_mappings)};
    if (source.maps.uid.empty() || source.maps.gid.empty())
      fail(ErrorKind::invalid_argument, "{}: needs both uidMappings and gidMappings", entry.field);
    // The container's own map needs no namespace of its own.
    if (source.maps == builder.plan.maps) source.idmap = IdMapping::container;
    if (source.idmap == IdMapping::container) source.maps = {};
    return;
  }
  if (!builder.mapped()) fail(ErrorKind::invalid_argument, "{}: idmap needs a user namespace or mappings", entry.field);
  source.idmap = IdMapping::container;
}

// Relative to the bundle, where there is one.
std::string bind_path(const PlanBuilder& builder, const Entry& entry) {
  const std::string& given = entry.mount.source;
  const std::string field = entry.field + ".source";
  if (given.empty()) fail(ErrorKind::invalid_argument, "{}: missing: a bind mount needs one", field);
  if (given.starts_with('/') || builder.options.bundle.empty()) return clean_path(given, field);
  return clean_path(builder.options.bundle + "/" + given, field);
}

// Shared with the host's own mounts would let a mapped container mount on the host: there, "shared" means a slave of
// the host's that shares onwards, which is what a mount namespace made with its user namespace would have.
std::uint64_t safe_propagation(const PlanBuilder& builder, std::uint64_t wanted) {
  if (wanted == MS_SHARED && builder.mapped()) return MS_SLAVE | MS_SHARED;
  return wanted;
}

void plan_bind(PlanBuilder& builder, const Entry& entry) {
  const bool allowed_in_proc = may_be_in_proc(entry.target);
  if (in_proc(entry.target) && !allowed_in_proc)
    fail(ErrorKind::invalid_argument, "{}: {} cannot be mounted because it is inside /proc", entry.field,
         printable(entry.target));
  BindSource source;
  source.path = bind_path(builder, entry);
  source.recursive = entry.options.recursive;
  source.attributes = entry.options.attributes;
  if (source.attributes.propagation == 0) {
    source.attributes.propagation = MS_PRIVATE;
    source.attributes.propagation_recursive = true;
  }
  source.attributes.propagation = safe_propagation(builder, source.attributes.propagation);
  choose_idmap(builder, entry, source);
  builder.step(
      AttachSource{builder.add_source(std::move(source)), entry.target, entry.target == "/dev", allowed_in_proc});
}

// --- what the container's namespaces do not own is taken from the host, read-only ---

void plan_host_tree(PlanBuilder& builder, const std::string& path, const std::string& target, std::uint64_t attributes,
                    bool recursive) {
  BindSource source;
  source.path = path;
  source.recursive = recursive;
  source.attributes.set_recursive = recursive ? attributes : 0;
  source.attributes.set = recursive ? 0 : attributes;
  source.attributes.propagation = MS_PRIVATE;
  source.attributes.propagation_recursive = true;
  builder.step(AttachSource{builder.add_source(std::move(source)), target, true, true});
}

// A namespace that a new user namespace does not own: the host's, or one that was made before it.
bool is_foreign(const PlanBuilder& builder, Namespace kind) {
  const NamespacePlan* user = builder.plan.find(Namespace::user);
  if (user == nullptr) return false;
  const NamespacePlan* entry = builder.plan.find(kind);
  return entry == nullptr || (entry->joins() && !user->joins());
}

void plan_proc(PlanBuilder& builder, const Entry& entry) {
  if (entry.target != "/proc" && in_proc(entry.target))
    fail(ErrorKind::invalid_argument, "{}: a procfs inside /proc", entry.field);
  if (!is_foreign(builder, Namespace::pid)) {
    builder.step(
        MountFilesystem{"proc", "proc", entry.options.data, entry.options.all_attributes(), 0, entry.target, true});
    return;
  }
  if (builder.plan.find(Namespace::pid) != nullptr)
    fail(ErrorKind::unsupported,
         "linux.namespaces: a pid namespace can be joined only together with its user namespace");
  builder.warn("/proc is the host's: a procfs of the host's pid namespace cannot be mounted under an id map");
  plan_host_tree(builder, "/proc", entry.target, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, false);
}

void plan_sysfs(PlanBuilder& builder, const Entry& entry) {
  if (!is_foreign(builder, Namespace::network)) {
    builder.step(
        MountFilesystem{"sysfs", "sysfs", entry.options.data, entry.options.all_attributes(), 0, entry.target, true});
    return;
  }
  plan_host_tree(builder, "/sys", entry.target, kDefaultSysAttributes, false);
}

void plan_mqueue(PlanBuilder& builder, const Entry& entry) {
  if (!is_foreign(builder, Namespace::ipc)) {
    builder.step(
        MountFilesystem{"mqueue", "mqueue", entry.options.data, entry.options.all_attributes(), 0, entry.target});
    return;
  }
  if (builder.facts.host_mqueue)
    plan_host_tree(builder, "/dev/mqueue", entry.target, entry.options.all_attributes(), false);
  else
    builder.warn("/dev/mqueue is left out: the host has none, and its ipc namespace is not the container's");
}

// linux.mountLabel: the SELinux context of everything in a file system of ours.
void add_label(const PlanBuilder& builder, std::vector<std::string>& options) {
  if (!builder.os.mount_label.empty()) options.push_back("context=" + builder.os.mount_label);
}

void plan_devpts(PlanBuilder& builder, const Entry& entry) {
  std::vector<std::string> options = entry.options.data;
  std::erase_if(options, [&](const std::string& option) {
    const auto number = option.starts_with("gid=") ? parse_integer<std::uint32_t>(option.substr(4)) : std::nullopt;
    return number && builder.mapped() && host_id(builder.plan.maps.gid, *number) == UINT32_MAX;
  });
  add_label(builder, options);
  builder.step(MountFilesystem{"devpts", "devpts", options, entry.options.all_attributes(), 0, entry.target});
}

std::uint64_t filesystem_propagation(const MountOptions& options) {
  return options.attributes.propagation == MS_PRIVATE ? 0 : options.attributes.propagation;
}

void plan_filesystem(PlanBuilder& builder, const Entry& entry) {
  const std::string& type = entry.mount.type;
  if (in_proc(entry.target))
    fail(ErrorKind::invalid_argument, "{}: {} cannot be mounted because it is inside /proc", entry.field,
         printable(entry.target));
  const std::string source = entry.mount.source.empty() || entry.mount.source == "none" ? type : entry.mount.source;
  std::vector<std::string> options = entry.options.data;
  if (type == "tmpfs") add_label(builder, options);
  builder.step(MountFilesystem{type, source, std::move(options), entry.options.all_attributes(),
                               filesystem_propagation(entry.options), entry.target, false, false,
                               entry.options.copy_up});
}

// What is mounted there already gets other attributes; nothing is mounted.
void plan_remount(PlanBuilder& builder, const Entry& entry) {
  if (!entry.options.data.empty())
    fail(ErrorKind::unsupported, "{}.options: remount changes a mount's attributes only, and {} is none", entry.field,
         printable(entry.options.data.front()));
  builder.step(ChangeMount{entry.target, entry.options.attributes});
}

// Options that say nothing about this mount would be lost without a word.
void check_options(const Entry& entry) {
  const bool mappings = !entry.mount.uid_mappings.empty() || !entry.mount.gid_mappings.empty();
  if ((mappings || entry.options.idmap) && (!entry.bind() || entry.options.remount))
    fail(ErrorKind::unsupported, "{}: only bind mounts can have an id map of their own", entry.field);
  if (entry.options.copy_up && (entry.bind() || entry.options.remount || entry.mount.type != "tmpfs"))
    fail(ErrorKind::invalid_argument, "{}.options: tmpcopyup is for a tmpfs", entry.field);
  // Words of some other runtimes'; a bind would be made without the map that was asked for.
  for (const std::string& option : entry.options.data)
    if (option.starts_with("idmap=") || option.starts_with("ridmap="))
      fail(ErrorKind::unsupported, "{}.options: {}: write the map as uidMappings and gidMappings", entry.field,
           printable(option));
}

void plan_device_tree(PlanBuilder& builder, const Entry& entry) {
  builder.step(AttachSource{builder.add_source(device_tree(builder, entry.mount)), entry.target, true, false,
                            builder.options.mounts_in_order});
  if ((entry.options.all_attributes() & MOUNT_ATTR_RDONLY) != 0) {
    MountAttributes read_only;
    read_only.set = MOUNT_ATTR_RDONLY;
    builder.at_end.emplace_back(ChangeMount{entry.target, read_only});
  }
}

void plan_mount(PlanBuilder& builder, const Entry& entry) {
  const std::string& type = entry.mount.type;
  check_options(entry);
  if (entry.options.remount)
    plan_remount(builder, entry);
  else if (entry.bind())
    plan_bind(builder, entry);
  else if (type == "proc")
    plan_proc(builder, entry);
  else if (type == "sysfs")
    plan_sysfs(builder, entry);
  else if (type == "mqueue")
    plan_mqueue(builder, entry);
  else if (type == "devpts")
    plan_devpts(builder, entry);
  else if (type == "cgroup" || type == "cgroup2")
    plan_cgroup_mount(builder, entry.mount, entry.target);
  else if (type == "tmpfs" && entry.target == "/dev")
    plan_device_tree(builder, entry);
  else if (type.empty())
    fail(ErrorKind::invalid_argument, "{}.type: missing", entry.field);
  else
    plan_filesystem(builder, entry);
}

void plan_init_program(PlanBuilder& builder) {
  if (builder.options.init_program.empty()) return;
  BindSource source;
  source.path = builder.options.init_program;
  source.attributes.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;
  source.attributes.propagation = MS_PRIVATE;
  builder.step(AttachSource{builder.add_source(std::move(source)), "/sbin/docker-init"});
}

}  // namespace

void plan_mounts(PlanBuilder& builder) {
  for (std::size_t i = 0; i < builder.spec.mounts.size(); ++i) {
    const oci::Mount& mount = builder.spec.mounts[i];
    const std::string field = fmt::format("mounts[{}]", i);
    for (const std::string& option : mount.options) checked_text(option, field + ".options");
    checked_text(mount.type, field + ".type");
    checked_text(mount.source, field + ".source");
    if (!mount.destination.starts_with('/') && !mount.destination.empty())
      builder.warn(
          fmt::format("{}.destination: {} is relative, which is deprecated", field, printable(mount.destination)));
    const Entry entry{mount, field, mount_target(mount, field + ".destination"), parse_mount_options(mount.options)};
    if (entry.target == "/" && !entry.options.remount)
      fail(ErrorKind::invalid_argument, "{}.destination: it would cover the root", field);
    plan_mount(builder, entry);
  }
  plan_init_program(builder);
}

}  // namespace bryo::runtime

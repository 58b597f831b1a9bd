#include "engine/spec.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/apparmor.hpp"
#include "engine/bypass.hpp"
#include "engine/device_requests.hpp"
#include "engine/spec_parts.hpp"
#include "engine/user_lookup.hpp"
#include "kernel/capabilities.hpp"
#include "runtime/seccomp_profile.hpp"

namespace bryo::engine {
namespace {

constexpr std::string_view kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::array kDefaultCapabilities = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE"};

constexpr std::array kMasked = {"/proc/asound",     "/proc/acpi",        "/proc/interrupts",
                                "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
                                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                                "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr std::array kReadOnly = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

std::vector<std::string> all_capabilities() {
  std::vector<std::string> out;
  for (unsigned number = 0; number <= kernel::last_capability(); ++number)
    out.push_back(kernel::capability_name(number));
  return out;
}

std::string capability_of(std::string_view word) {
  std::string name;
  for (const char c : word) name += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  if (name == "ALL" || name == "CAP_ALL") return "ALL";
  if (!name.starts_with("CAP_")) name.insert(0, "CAP_");
  if (!kernel::capability_number(name))
    fail(ErrorKind::invalid_argument, "invalid CapAdd: unknown capability: \"{}\"", printable(name));
  return name;
}

std::vector<oci::LinuxIdMapping> id_mappings(const ids::IdMap& map) {
  std::vector<oci::LinuxIdMapping> out;
  for (const ids::IdRange& range : map.ranges())
    out.push_back({ids::value(range.container), ids::value(range.host), range.size});
  return out;
}

oci::LinuxCapabilities capability_sets(const std::vector<std::string>& granted, std::uint32_t uid) {
  oci::LinuxCapabilities out;
  out.bounding = granted;
  if (uid == 0) out.effective = out.permitted = granted;  // inheritable and ambient stay empty (CVE-2022-24769)
  return out;
}

std::vector<oci::Rlimit> rlimits(const SpecInputs& inputs) {
  std::map<std::string, Ulimit> merged;
  for (const Ulimit& limit : inputs.default_ulimits) merged[limit.name] = limit;
  if (inputs.record->host_config.ulimits)
    for (const Ulimit& limit : *inputs.record->host_config.ulimits) merged[limit.name] = limit;
  std::vector<oci::Rlimit> out;
  for (const auto& [name, limit] : merged) {
    std::string type = "RLIMIT_";
    for (const char c : name) type += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    // -1 is RLIM_INFINITY.
    out.push_back({std::move(type), static_cast<std::uint64_t>(limit.hard), static_cast<std::uint64_t>(limit.soft)});
  }
  return out;
}

std::map<std::string, std::string> sysctls(const SpecInputs& inputs) {
  const Record& record = *inputs.record;
  const HostConfig& host = record.host_config;
  std::map<std::string, std::string> out = host.sysctls;
  const bool own_network = host.network_mode != "host" && !host.network_mode.starts_with("container:");
  for (const auto& [key, value] : host.sysctls) {
    // GHSA-w2j5-3rcx-vx7x: a sysctl of a namespace that is the host's would change the host.
    if (key.starts_with("net.") && !own_network)
      fail(ErrorKind::invalid_argument, "sysctl '{}' is not allowed as network namespace is not private",
           printable(key));
    if ((key.starts_with("kernel.") || key.starts_with("fs.mqueue.")) && host.ipc_mode == "host")
      fail(ErrorKind::invalid_argument, "sysctl '{}' is not allowed as IPC namespace is not private", printable(key));
  }
  if (!own_network) return out;
  out.emplace("net.ipv4.ip_unprivileged_port_start", "0");
  // The kernel wants both ends mapped; a small map leaves ping to CAP_NET_RAW.
  constexpr std::uint64_t kUsual = 65536;
  if (const auto gids = record.maps.gid.size(); gids >= kUsual)
    out.emplace("net.ipv4.ping_group_range", fmt::format("0 {}", std::min<std::uint64_t>(gids - 1, 2147483647)));
  return out;
}

std::uint64_t capability_bits(const std::vector<std::string>& names) {
  std::uint64_t bits = 0;
  for (const std::string& name : names) bits |= kernel::capability_bit(*kernel::capability_number(name));
  return bits;
}

// What an engine inside needs beyond the default profile: pivot_root, and keyrings of its own.
oci::LinuxSeccomp profile_for_engines(std::uint64_t capabilities, std::uint32_t kernel) {
  oci::LinuxSeccomp profile = runtime::default_seccomp_profile(capabilities, kernel);
  oci::LinuxSyscall more;
  more.names = {"add_key", "keyctl", "pivot_root", "request_key"};
  more.action = "SCMP_ACT_ALLOW";
  profile.syscalls.push_back(std::move(more));
  return profile;
}

void set_seccomp(oci::Linux& linux_part, const SpecInputs& inputs, const SecurityOptions& security,
                 const std::vector<std::string>& capabilities) {
  const std::string& text = security.seccomp_profile.empty() ? inputs.seccomp_profile : security.seccomp_profile;
  const bool own = !text.empty() && text != "unconfined";
  if (!security.unconfined && own) linux_part.seccomp = parse_seccomp_profile(text, capabilities, inputs.facts->kernel);
  if (!security.unconfined && !own && security.nested && text.empty())
    linux_part.seccomp = profile_for_engines(capability_bits(capabilities), inputs.facts->kernel);
  if (!inputs.bypass) return;
  if (!linux_part.seccomp) {
    linux_part.seccomp = runtime::default_seccomp_profile(capability_bits(capabilities), inputs.facts->kernel);
    if (security.unconfined || text == "unconfined") allow_everything(*linux_part.seccomp);
  }
  hold_connects(*linux_part.seccomp);
}

void keep_groups(oci::RuntimeSpec& spec, const HostConfig& host) {
  if (keeps_groups(host)) spec.annotations[std::string(runtime::kKeepGroupsAnnotation)] = "1";
}

oci::Process init_process(const SpecInputs& inputs, const SecurityOptions& security,
                          const std::vector<std::string>& capabilities) {
  const Record& record = *inputs.record;
  oci::Process process;
  process.terminal = record.config.tty;
  if (record.host_config.console_size[0] != 0)
    process.console_size = oci::Box{record.host_config.console_size[0], record.host_config.console_size[1]};
  process.user.uid = inputs.user.uid;
  process.user.gid = inputs.user.gid;
  process.user.additional_gids = inputs.user.groups;
  if (inputs.init) process.args = {"/sbin/docker-init", "--"};
  process.args.push_back(record.path);
  process.args.insert(process.args.end(), record.args.begin(), record.args.end());
  process.env = spec_environment(inputs, inputs.user, {}, record.config.tty);
  process.cwd = record.config.working_dir.empty() ? "/" : record.config.working_dir;
  process.capabilities = capability_sets(capabilities, inputs.user.uid);
  process.rlimits = rlimits(inputs);
  process.no_new_privileges = security.no_new_privileges;
  if (inputs.apparmor != kUnconfined) process.apparmor_profile = inputs.apparmor;
  process.oom_score_adj = record.host_config.oom_score_adj;
  return process;
}

oci::LinuxDevice device_of(const DeviceMapping& mapping) {
  struct stat info {};
  if (::stat(mapping.path_on_host.c_str(), &info) != 0)
    fail(ErrorKind::invalid_argument,
         "error gathering device information while adding custom device \"{}\": no such file or "
         "directory",
         printable(mapping.path_on_host));
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode))
    fail(ErrorKind::invalid_argument,
         "error gathering device information while adding custom device \"{}\": not a device node",
         printable(mapping.path_on_host));
  oci::LinuxDevice device;
  device.path = mapping.path_in_container.empty() ? mapping.path_on_host : mapping.path_in_container;
  device.type = S_ISBLK(info.st_mode) ? "b" : "c";
  device.major = major(info.st_rdev);
  device.minor = minor(info.st_rdev);
  device.file_mode = info.st_mode & 07777U;
  device.uid = info.st_uid;
  device.gid = info.st_gid;
  return device;
}

}  // namespace

std::vector<std::string> effective_capabilities(const HostConfig& host) {
  if (host.privileged || is_nested(host)) return all_capabilities();
  std::set<std::string> held(kDefaultCapabilities.begin(), kDefaultCapabilities.end());
  std::set<std::string> dropped;
  bool drop_all = false;
  for (const std::string& word : host.cap_drop.list()) {
    const std::string name = capability_of(word);
    drop_all = drop_all || name == "ALL";
    dropped.insert(name);
  }
  std::set<std::string> added;
  for (const std::string& word : host.cap_add.list()) {
    const std::string name = capability_of(word);
    if (name != "ALL") {
      added.insert(name);
      continue;
    }
    for (std::string& one : all_capabilities()) held.insert(std::move(one));
  }
  if (drop_all) held.clear();
  std::erase_if(held, [&](const std::string& name) { return dropped.contains(name); });
  held.insert(added.begin(), added.end());
  return {held.begin(), held.end()};
}

std::vector<std::string> spec_environment(const SpecInputs& inputs, const ResolvedUser& user,
                                          const std::vector<std::string>& own, bool tty) {
  const Record& record = *inputs.record;
  std::vector<std::string> out = {std::string(kPath)};
  const auto set = [&](const std::string& variable) {
    const auto key = variable.substr(0, variable.find('=') + 1);
    if (key.empty()) {  // "NAME" without a value removes it
      std::erase_if(out, [&](const std::string& other) { return other.starts_with(variable + "="); });
      return;
    }
    const auto place =
        std::find_if(out.begin(), out.end(), [&](const std::string& other) { return other.starts_with(key); });
    if (place == out.end())
      out.push_back(variable);
    else
      *place = variable;
  };
  if (!inputs.hostname.empty()) out.push_back("HOSTNAME=" + inputs.hostname);
  if (tty) out.emplace_back("TERM=xterm");
  if (record.config.env)
    for (const std::string& variable : *record.config.env) set(variable);
  for (const std::string& variable : own) set(variable);
  const bool has_home =
      std::any_of(out.begin(), out.end(), [](const std::string& v) { return v.starts_with("HOME="); });
  if (!has_home) out.push_back("HOME=" + user.home);
  return out;
}

std::vector<oci::LinuxNamespace> spec_namespaces(const SpecInputs& inputs) {
  const Record& record = *inputs.record;
  const HostConfig& host = record.host_config;
  std::vector<oci::LinuxNamespace> out = {{"mount", ""}};
  const auto add = [&](const std::string& type, bool of_host) {
    if (const auto path = inputs.joined.find(type); path != inputs.joined.end())
      out.push_back({type, path->second});
    else if (!of_host)
      out.push_back({type, ""});
  };
  add("network", host.network_mode == "host");
  add("uts", host.uts_mode == "host");
  add("pid", host.pid_mode == "host");
  add("ipc", host.ipc_mode == "host");
  if (!record.maps.is_identity()) add("user", false);
  // Without root it is what keeps the user's other cgroups, which the container's root may write, out of sight.
  if (inputs.rootless || (host.cgroupns_mode == "private" && !host.privileged)) out.push_back({"cgroup", ""});
  return out;
}

std::vector<oci::LinuxDevice> spec_devices(const SpecInputs& inputs) {
  const HostConfig& host = inputs.record->host_config;
  std::vector<oci::LinuxDevice> out;
  if (host.privileged && inputs.record->maps.is_identity()) {
    for (const runtime::DeviceNode& node : inputs.facts->devices)
      out.push_back(
          {"/dev/" + node.name, std::string(1, node.type), node.major, node.minor, node.mode, node.uid, node.gid});
  }
  if (host.devices)
    for (const DeviceMapping& mapping : *host.devices) out.push_back(device_of(mapping));
  return out;
}

oci::RuntimeSpec build_spec(const SpecInputs& inputs) {
  const Record& record = *inputs.record;
  const HostConfig& host = record.host_config;
  const SecurityOptions security = parse_security_options(host, inputs.no_new_privileges);
  const auto capabilities = effective_capabilities(host);

  oci::RuntimeSpec spec;
  spec.root = oci::Root{"rootfs", host.readonly_rootfs};
  if (host.uts_mode != "host") {
    spec.hostname = inputs.hostname;
    spec.domainname = inputs.domainname;
  }
  spec.process = init_process(inputs, security, capabilities);
  spec.mounts = spec_mounts(inputs);
  spec.linux_.emplace();
  oci::Linux& linux_part = *spec.linux_;
  linux_part.namespaces = spec_namespaces(inputs);
  if (!record.maps.is_identity()) {
    linux_part.uid_mappings = id_mappings(record.maps.uid);
    linux_part.gid_mappings = id_mappings(record.maps.gid);
  }
  linux_part.sysctl = sysctls(inputs);
  linux_part.cgroups_path = inputs.cgroup_path;
  linux_part.devices = spec_devices(inputs);
  if (!host.privileged && !security.nested) {
    linux_part.masked_paths = host.masked_paths.value_or(std::vector<std::string>(kMasked.begin(), kMasked.end()));
    linux_part.readonly_paths =
        host.readonly_paths.value_or(std::vector<std::string>(kReadOnly.begin(), kReadOnly.end()));
  }
  set_seccomp(linux_part, inputs, security, capabilities);
  keep_groups(spec, host);
  apply_edits(inputs.cdi, inputs.rootless, spec);
  return spec;
}

oci::RuntimeSpec build_exec_spec(const SpecInputs& inputs) {
  const Record& record = *inputs.record;
  const SecurityOptions security = parse_security_options(record.host_config, inputs.no_new_privileges);
  oci::RuntimeSpec spec;
  spec.linux_.emplace();
  spec.linux_->namespaces = spec_namespaces(inputs);
  if (!record.maps.is_identity()) {
    spec.linux_->uid_mappings = id_mappings(record.maps.uid);
    spec.linux_->gid_mappings = id_mappings(record.maps.gid);
  }
  set_seccomp(*spec.linux_, inputs, security, effective_capabilities(record.host_config));
  keep_groups(spec, record.host_config);
  return spec;
}

std::optional<std::uint64_t> default_seccomp(const SpecInputs& inputs) {
  if (inputs.bypass) return std::nullopt;
  const HostConfig& host = inputs.record->host_config;
  const SecurityOptions security = parse_security_options(host, inputs.no_new_privileges);
  if (security.unconfined || security.nested || !security.seccomp_profile.empty() || !inputs.seccomp_profile.empty())
    return std::nullopt;
  return capability_bits(effective_capabilities(host));
}

oci::Process build_process(const SpecInputs& inputs, const ExecCreateRequest& exec, const ResolvedUser& user) {
  const Record& record = *inputs.record;
  const SecurityOptions security = parse_security_options(record.host_config, inputs.no_new_privileges);
  oci::Process process = init_process(inputs, security, effective_capabilities(record.host_config));
  process.terminal = exec.tty;
  process.console_size.reset();
  if (exec.console_size) process.console_size = oci::Box{(*exec.console_size)[0], (*exec.console_size)[1]};
  process.user.uid = user.uid;
  process.user.gid = user.gid;
  process.user.additional_gids = user.groups;
  process.args = exec.cmd;
  process.env = spec_environment(inputs, user, exec.env.value_or(std::vector<std::string>{}), exec.tty);
  if (!exec.working_dir.empty()) process.cwd = exec.working_dir;
  process.capabilities = exec.privileged ? capability_sets(all_capabilities(), user.uid)
                                         : capability_sets(effective_capabilities(record.host_config), user.uid);
  if (exec.privileged) process.apparmor_profile.clear();
  process.oom_score_adj.reset();
  return process;
}

runtime::RootfsSource to_rootfs_source(const storage::RootfsDescription& from) {
  runtime::RootfsSource out;
  if (from.driver == "vfs") {
    out.kind = runtime::RootfsSource::Kind::directory;
    out.path = from.directory;
    return out;
  }
  if (from.driver == "fuse-overlayfs") {  // the descriptor comes from SnapshotDriver::mount_root()
    out.kind = runtime::RootfsSource::Kind::mounted;
    out.path = from.upper;
    return out;
  }
  out.kind = runtime::RootfsSource::Kind::overlay;
  out.lower_parent = from.layers_directory;
  for (const std::string& directory : from.lower) {
    const auto slash = directory.rfind('/');
    out.lower.push_back(slash == std::string::npos ? directory : directory.substr(slash + 1));
  }
  out.upper = from.upper;
  out.work = from.work;
  out.lower_idmap = from.idmap;
  out.options = from.options;
  return out;
}

}  // namespace bryo::engine

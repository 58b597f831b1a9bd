#include "engine/create.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/device_requests.hpp"
#include "engine/endpoint_request.hpp"
#include "engine/log_options.hpp"
#include "engine/mount_list.hpp"
#include "engine/names.hpp"
#include "engine/ports.hpp"
#include "engine/resources.hpp"
#include "engine/spec.hpp"
#include "engine/user_lookup.hpp"
#include "kernel/files.hpp"
#include "kernel/idmap.hpp"
#include "network/hosts_file.hpp"

namespace bryo::engine {
namespace {

constexpr std::size_t kMaxTable = 4U << 20;
constexpr std::uint32_t kNobody = 65534;

// passwd or group of a layer tree, for counting ids; empty when it is not there.
std::string read_table(const kernel::RootDirectory& root, std::string_view path) {
  const auto fd = root.try_resolve(path, O_RDONLY | O_NONBLOCK);
  if (!fd || !S_ISREG(kernel::stat_fd(fd->get()).st_mode)) return {};
  return kernel::read_file(fd->get(), kMaxTable);
}

void check_hostname(const ContainerConfig& config) {
  // CVE-2022-4318: these names become lines of files.
  if (!config.hostname.empty() && !network::valid_host_name(config.hostname))
    fail(ErrorKind::invalid_argument, "invalid hostname format: {}", printable(config.hostname));
  if (!config.domainname.empty() && !network::valid_host_name(config.domainname))
    fail(ErrorKind::invalid_argument, "invalid domainname format: {}", printable(config.domainname));
}

void check_text(std::string_view text, std::string_view what) {
  if (text.find('\0') != std::string_view::npos) fail(ErrorKind::invalid_argument, "{} must not contain NUL", what);
}

void check_restart(const HostConfig& host) {
  const auto& name = host.restart_policy.name;
  static const std::set<std::string, std::less<>> known = {"", "no", "always", "unless-stopped", "on-failure"};
  if (!known.contains(name))
    fail(ErrorKind::invalid_argument, "invalid restart policy: unknown policy '{}'", printable(name));
  if (host.restart_policy.maximum_retry_count < 0)
    fail(ErrorKind::invalid_argument, "invalid restart policy: maximum retry count cannot be negative");
  if (host.restart_policy.maximum_retry_count != 0 && name != "on-failure")
    fail(ErrorKind::invalid_argument, "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  if (host.auto_remove && !name.empty() && name != "no")
    fail(ErrorKind::invalid_argument, "can't create 'AutoRemove' container with restart policy");
}

// 0 is the default; what is shorter was meant to be seconds and came as nanoseconds.
void check_health(const ContainerConfig& config) {
  if (!config.healthcheck) return;
  constexpr std::int64_t kShortest = 1000000;
  const HealthConfig& health = *config.healthcheck;
  for (const auto& [time, name] : {std::pair{health.interval, "Interval"},
                                   {health.timeout, "Timeout"},
                                   {health.start_period, "StartPeriod"},
                                   {health.start_interval, "StartInterval"}})
    if (time != 0 && time < kShortest)
      fail(ErrorKind::invalid_argument, "{} in Healthcheck cannot be less than 1ms", name);
  if (health.retries < 0) fail(ErrorKind::invalid_argument, "Retries in Healthcheck cannot be negative");
}

void check_command(const Record& record) {
  if (record.path.empty()) fail(ErrorKind::invalid_argument, "no command specified");
  check_text(record.path, "command");
  for (const std::string& arg : record.args) check_text(arg, "command");
  for (const std::string& variable : record.config.env.value_or(std::vector<std::string>{})) {
    check_text(variable, "environment");
    if (variable.empty() || variable.front() == '=')
      fail(ErrorKind::invalid_argument, "invalid environment variable: {}", printable(variable));
  }
}

// A network of somebody else's comes with its names, addresses and ports.
void check_shared_network(const Record& record) {
  const HostConfig& host = record.host_config;
  if (!host.network_mode.starts_with("container:")) return;
  const auto refuse = [](bool given, std::string_view what) {
    if (given) fail(ErrorKind::invalid_argument, "conflicting options: {} and the network mode", what);
  };
  refuse(!record.config.hostname.empty(), "hostname");
  refuse(!record.config.mac_address.empty(), "mac-address");
  refuse(!host.dns.empty(), "dns");
  refuse(host.extra_hosts && !host.extra_hosts->empty(), "custom host-to-IP mapping");
  refuse(host.links && !host.links->empty(), "links");
  if (!host.port_bindings.empty() || host.publish_all_ports)
    fail(ErrorKind::invalid_argument, "conflicting options: port publishing and the container type network mode");
}

void set_command(Record& record) {
  const auto& entrypoint = record.config.entrypoint.list();
  const auto& cmd = record.config.cmd.list();
  std::vector<std::string> all(entrypoint);
  all.insert(all.end(), cmd.begin(), cmd.end());
  if (all.empty()) return;
  record.path = all.front();
  record.args.assign(all.begin() + 1, all.end());
}

}  // namespace

CreateResult Creator::create(const CreateRequest& request) {
  // Until the snapshot stands on the image's layers, nobody may collect them.
  const auto held = s_.images.lease();
  CreateResult result;
  Record record = make_record(request, result.warnings);
  record.name = s_.containers.reserve_name(request.name, record.id);
  bool snapshot = false;
  try {
    std::uint32_t needed = 0;
    std::optional<Digest> top;
    if (!record.image_id.empty()) {
      const auto image = s_.images.find_id(Digest::parse(record.image_id));
      if (!image) fail(ErrorKind::not_found, "No such image: {}", record.image_ref);
      top = image->top;
    }
    const std::string userns = userns_of(record, top, result.warnings);
    const MapMode mode = s_.ids.mode_of(userns);
    record.map_mode = to_string(mode);
    if (mode == MapMode::automatic && top) {
      const AccountTables tables = tables_of(*top);
      needed = ids::needed_ids(tables.passwd, tables.group, record.config.user);
      needed = std::max(needed, ids_of_files(*top));
    }
    record.maps = s_.ids.maps_for(mode, record.id, userns, needed);
    check_modes(record, result.warnings);
    if (top) check_ids_of_image(record, *top);
    s_.snapshots->prepare(s_.snapshot_of(record.id), top, record.maps);
    snapshot = true;
    make_volumes(record, request.host_config);
    if (s_.ids.rootless()) settle_idmaps(record);
    fill_volumes(record);
    store(record);
  } catch (...) {
    s_.containers.release_name(record.name);
    s_.ids.release(record.id);
    if (snapshot) s_.snapshots->remove(s_.snapshot_of(record.id));
    for (const ResolvedMount& mount : record.mounts)
      if (mount.anonymous && !mount.point.name.empty()) s_.volumes.remove(s_.ids.scope(), mount.point.name);
    throw;
  }
  result.id = record.id;
  return result;
}

// The topmost layer that has the files counts: what lies below is hidden by it.
Creator::AccountTables Creator::tables_of(const Digest& top) const {
  AccountTables tables;
  for (const auto& layer : s_.layers.chain(top)) {
    const auto root = kernel::RootDirectory::open(s_.layers.path_of(layer.chain));
    if (tables.passwd.empty()) tables.passwd = read_table(root, "etc/passwd");
    if (tables.group.empty()) tables.group = read_table(root, "etc/group");
  }
  return tables;
}

// --userns, or, without root and when nothing is said, the map in which the caller's files belong to the container's
// user: the kernel lets no ordinary user show a directory with other owners. Volumes belong to images, which expect the
// usual order, so with both the caller must choose.
std::string Creator::userns_of(const Record& record, const std::optional<Digest>& top,
                               std::vector<std::string>& warnings) const {
  const std::string& asked = record.host_config.userns_mode;
  if (!asked.empty() || !s_.ids.rootless() || !s_.options.userns_default.empty() || !top) return asked;
  const ResolvedMount* own = nullptr;
  bool volumes = false;
  for (const ResolvedMount& mount : record.mounts) {
    volumes = volumes || (mount.point.type == "volume" && !mount.anonymous);
    if (mount.point.type != "bind" || !mount.point.rw) continue;
    const auto info = kernel::try_stat_at(AT_FDCWD, mount.point.source);
    if (info && info->st_uid == 0) own = &mount;  // the caller's
  }
  if (own == nullptr || record.config.user.empty()) return asked;
  const AccountTables tables = tables_of(*top);
  const ResolvedUser user = resolve_user_in(record.config.user, {}, tables.passwd, tables.group);
  if (user.uid == 0) return asked;
  if (!volumes) return fmt::format("keep-id:uid={},gid={}", user.uid, user.gid);
  warnings.push_back(fmt::format(
      "{} is yours, and shows as root's to the container's user {}: with a named volume beside it the engine does not "
      "choose other ids by itself. --userns=keep-id:uid={},gid={} makes it that user's",
      own->point.source, user.uid, user.uid, user.gid));
  return asked;
}

void Creator::store(const Record& record) {
  auto container = std::make_shared<Container>(record);
  s_.save(record);
  s_.containers.add(container);
  s_.publish(record, "create");
}

Record Creator::make_record(const CreateRequest& request, std::vector<std::string>& warnings) {
  Record record;
  record.id = random_hex_id();
  record.scope = s_.ids.scope();
  record.created = to_rfc3339_nano(wall_now());
  record.config = request.config;
  record.host_config = request.host_config;
  record.driver = s_.snapshots->name();
  if (record.config.image.empty()) fail(ErrorKind::invalid_argument, "no image specified");
  adopt_image(record, request.platform, warnings);
  set_command(record);
  check_command(record);
  check_hostname(record.config);
  check_restart(record.host_config);
  check_health(record.config);
  check_log(record.host_config, s_.options.default_log);
  check_resources(record.host_config, s_.limit_rules(), warnings);
  settle_device_requests(record.host_config);
  // Now, rather than at the first start.
  cdi_edits(record.host_config, s_.options.cdi_spec_dirs, s_.options.rootless.has_value());
  check_kept_groups(record.host_config, s_.options.rootless.has_value());
  parse_port_map(record);
  if (record.config.stop_signal.empty() == false) parse_signal(record.config.stop_signal);
  if (!record.config.working_dir.empty() && !record.config.working_dir.starts_with('/'))
    fail(ErrorKind::invalid_argument, "the working directory '{}' is invalid, it needs to be an absolute path",
         printable(record.config.working_dir));
  HostConfig& host = record.host_config;
  if (host.network_mode.empty() || host.network_mode == "default")
    host.network_mode = s_.options.bridge == "none" ? "none" : "bridge";
  if (host.shm_size == 0) host.shm_size = s_.options.default_shm_size;
  if (host.shm_size < 0) fail(ErrorKind::invalid_argument, "SHM size can not be less than 0");
  if (host.ipc_mode.empty())
    host.ipc_mode = s_.options.default_ipc_mode.empty() ? "private" : s_.options.default_ipc_mode;
  if (s_.options.rootless && host.cgroupns_mode == "host")
    fail(ErrorKind::unsupported,
         "--cgroupns=host: the cgroups of this engine's user would be open to the container (CVE-2023-25809); without "
         "root every container has a cgroup namespace of its own");
  if (s_.options.rootless)
    host.cgroupns_mode = "private";
  else if (host.cgroupns_mode.empty())
    host.cgroupns_mode = !s_.options.default_cgroupns_mode.empty()           ? s_.options.default_cgroupns_mode
                         : s_.cgroups.version() == kernel::CgroupVersion::v2 ? "private"
                                                                             : "host";
  if (host.runtime.empty()) host.runtime = "bryo";
  if (record.config.hostname.empty() && host.network_mode != "host" && !host.network_mode.starts_with("container:") &&
      host.uts_mode != "host")
    record.config.hostname = record.id.substr(0, 12);
  record.networks = request.networking.endpoints_config;
  if (record.networks.empty() && !host.network_mode.starts_with("container:")) record.networks[host.network_mode];
  for (const auto& [name, settings] : record.networks) check_endpoint(settings);
  record.mounts = merge_mounts(host, record.config.volumes, inherited_mounts(host));
  return record;
}

void Creator::adopt_image(Record& record, const std::string& platform, std::vector<std::string>& warnings) {
  const auto image = s_.images.resolve(record.config.image);
  const auto config = s_.images.config_of(image.id);
  if (!platform.empty()) {
    const auto parts = split(platform, '/');
    if (parts[0] != config.os || (parts.size() > 1 && parts[1] != config.architecture))
      warnings.push_back(
          fmt::format("The requested image's platform ({}/{}) does not match the detected host platform ({}) and no "
                      "specific platform "
                      "was requested",
                      config.os, config.architecture, platform));
  }
  record.image_id = image.id.str();
  record.image_ref = record.config.image;
  merge_image_config(record.config, config.config);
}

std::vector<ResolvedMount> Creator::inherited_mounts(const HostConfig& host) {
  std::vector<ResolvedMount> out;
  if (!host.volumes_from) return out;
  for (const std::string& text : *host.volumes_from) {
    const VolumesFrom from = parse_volumes_from(text);
    const auto other = s_.containers.find(from.container);
    std::lock_guard lock(other->mutex);
    for (ResolvedMount mount : other->record.mounts) {
      if (mount.point.type == "tmpfs") continue;
      mount.anonymous = false;
      mount.copy_up = false;
      if (from.read_only) mount.point.rw = false;
      out.push_back(std::move(mount));
    }
  }
  return out;
}

void Creator::make_volumes(Record& record, const HostConfig& asked) {
  for (ResolvedMount& mount : record.mounts) {
    if (mount.point.type != "volume") continue;
    storage::VolumeRequest request;
    request.scope = s_.ids.scope();
    request.name = mount.point.name;
    request.driver = mount.point.driver;
    for (const MountSpec& spec : asked.mounts) {
      if (clean_path(spec.target) != mount.point.destination || !spec.volume_options) continue;
      request.labels = spec.volume_options->labels;
      if (spec.volume_options->driver_config) request.options = spec.volume_options->driver_config->options;
    }
    const bool existed = !request.name.empty() && s_.volumes.find(request.scope, request.name).has_value();
    const auto volume = existed ? s_.volumes.get(request.scope, request.name) : s_.volumes.create(request);
    mount.point.name = volume.name;
    mount.point.source = volume.mountpoint;
    show_what_it_stands_for(volume, mount);
    if (mount.point.mode.empty()) mount.point.mode = mount.point.rw ? "z" : "ro";
    if (!existed) s_.events.publish("volume", "create", volume.name, {{"driver", volume.driver}});
  }
}

// A volume made with options of mount(8). A bind is a directory of the host's under a volume's name; the others would
// be an empty directory where a file system was asked for.
void Creator::show_what_it_stands_for(const storage::Volume& volume, ResolvedMount& mount) const {
  const auto own = s_.volumes.mount_of(volume);
  if (!own) return;
  const auto words = split(own->options, ',');
  const auto has = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  if (!has("bind") && !has("rbind"))
    fail(ErrorKind::unsupported,
         "volume {} is a file system of type {}: this version mounts only binds (type=none, o=bind) and plain volumes; "
         "mount it on the host and bind-mount the directory",
         volume.name, printable(own->type));
  if (!own->device.starts_with('/') || !kernel::try_stat_at(AT_FDCWD, own->device))
    fail(ErrorKind::invalid_argument,
         "failed to mount local volume: mount {}:{}: no such file or directory: the option device must be the absolute "
         "path of a directory that exists",
         printable(own->device), volume.mountpoint);
  mount.point.source = own->device;
  mount.idmap = false;  // as every bind: the host's owners
  mount.recursive = has("rbind");
  if (has("ro")) mount.point.rw = false;
}

// Without root the kernel idmaps hardly any mount; now is the time to say so. A bind whose owner is the engine's user
// needs none where the container's map has that user: it was chosen for this (userns_of), or with --userns=keep-id.
void Creator::settle_idmaps(Record& record) const {
  if (record.maps.keeps_ids()) return;
  const bool has_caller = record.maps.uid.to_container(ids::HostId{0}).has_value();
  for (ResolvedMount& mount : record.mounts) {
    if (!mount.idmap || mount.point.type == "tmpfs") continue;
    const bool bind = mount.point.type == "bind";
    if (bind && has_caller) mount.idmap = false;
    if (!mount.idmap || !kernel::try_stat_at(AT_FDCWD, mount.point.source)) continue;
    try {
      const UniqueFd users = kernel::make_user_namespace(record.maps.uid.proc_text(), record.maps.gid.proc_text());
      kernel::idmap_mount(kernel::clone_tree(AT_FDCWD, mount.point.source, false).get(), users.get());
    } catch (const Error& error) {
      fail(ErrorKind::unsupported,
           "{} {} cannot be shown with the ids of this container ({}): the kernel lets only root of the machine do "
           "that, "
           "but for file systems mounted by the engine itself. {}",
           bind ? "directory" : "volume", bind ? mount.point.source : mount.point.name, error.message(),
           bind ? "With --userns=keep-id[:uid=N,gid=N] your own files belong to the container's user, without :idmap"
                : "Leave --userns out: then containers and volumes have the same ids");
    }
  }
}

void Creator::fill_volumes(Record& record) {
  std::optional<kernel::RootDirectory> root;
  for (ResolvedMount& mount : record.mounts) {
    if (mount.point.type != "volume" || !mount.copy_up) continue;
    const auto volume = s_.volumes.get(s_.ids.scope(), mount.point.name);
    if (s_.volumes.mount_of(volume)) continue;  // a tmpfs or a remote file system: nothing of ours to fill
    if (!root) root.emplace(s_.snapshots->mount_view(s_.snapshot_of(record.id), true));
    s_.volumes.copy_up(volume, *root, mount.point.destination, record.maps);
    mount.copy_up = false;
  }
}

// One more than the highest id that a file of the image belongs to; nobody's are always mapped.
std::uint32_t Creator::ids_of_files(const Digest& top) const {
  std::uint32_t needed = 0;
  for (const auto& layer : s_.layers.chain(top))
    for (const std::uint32_t id : {layer.max_uid, layer.max_gid})
      if (id < kNobody) needed = std::max(needed, id + 1);
  return needed;
}

// Files whose owner the map does not have would be nobody's, and nobody in the container could change them.
void Creator::check_ids_of_image(const Record& record, const Digest& top) const {
  const auto check = [&](const ids::IdMap& map, std::uint32_t id, std::string_view what, std::string_view file) {
    if (map.to_host(ids::ContainerId{id})) return;
    fail(ErrorKind::invalid_argument,
         "image {} has files of {} {}, and its container would have {} ids only: give the user of the map more of them "
         "in {}, or use --userns=auto:size={} or --userns=host",
         record.image_ref, what, id, map.size(), file, std::uint64_t{id} + 1);
  };
  for (const auto& layer : s_.layers.chain(top)) {
    check(record.maps.uid, layer.max_uid, "uid", "/etc/subuid");
    check(record.maps.gid, layer.max_gid, "gid", "/etc/subgid");
  }
}

namespace {

// The first --security-opt that asks for an SELinux label.
std::string label_option(const HostConfig& host) {
  for (const std::string& option : host.security_opt.value_or(std::vector<std::string>{}))
    if (option.starts_with("label") && !option.ends_with("disable")) return option;
  return {};
}

}  // namespace

// --privileged, --pid=host, --net=host, --ipc=host under a map: docs/decisions.md says what each becomes.
void Creator::check_modes(const Record& record, std::vector<std::string>& warnings) {
  const HostConfig& host = record.host_config;
  const bool mapped = !record.maps.is_identity();
  const auto refuse = [](std::string_view what) {
    fail(ErrorKind::invalid_argument,
         "{} is incompatible with user namespaces.  You must run the container in the host namespace "
         "when running {} mode.",
         what, what);
  };
  if (mapped && host.pid_mode == "host") refuse("sharing the host's PID namespace");
  if (mapped && host.ipc_mode == "host") refuse("sharing the host's IPC namespace");
  if (!mapped && is_nested(host))
    fail(ErrorKind::invalid_argument,
         "--security-opt nested needs a user namespace: without one this container would be root on the host. Start "
         "the engine with --userns-remap, or the container with --userns=auto");
  if (mapped && host.privileged)
    warnings.emplace_back("--privileged under a user namespace means all capabilities inside it, none on the host");
  const std::string label = s_.facts.selinux ? label_option(host) : "";
  if (!label.empty())
    warnings.push_back(
        fmt::format("--security-opt {}: this engine gives its containers no SELinux labels", printable(label)));
  if (host.network_mode == "host" && !record.config.hostname.empty() && host.uts_mode == "host")
    fail(ErrorKind::invalid_argument, "conflicting options: hostname and the UTS mode");
  if (host.network_mode == network::kBypass && !s_.networks.exists(network::kBypass))
    fail(ErrorKind::unsupported,
         "network bypass is for a rootless engine with a user-mode network, on Linux 5.19 or newer: here there is "
         "nothing to bypass; use "
         "bridge");
  check_shared_network(record);
  const auto other = [&](const std::string& mode) {
    if (mode.starts_with("container:")) s_.containers.find(std::string_view(mode).substr(10));
  };
  other(host.pid_mode);
  other(host.ipc_mode);
}

}  // namespace bryo::engine

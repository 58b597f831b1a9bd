#include "engine/launch.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "engine/bypass.hpp"
#include "engine/device_requests.hpp"
#include "engine/endpoint_request.hpp"
#include "engine/log_options.hpp"
#include "engine/ports.hpp"
#include "engine/resources.hpp"
#include "engine/user_lookup.hpp"
#include "kernel/files.hpp"
#include "kernel/host.hpp"
#include "kernel/resctrl.hpp"
#include "network/hosts_file.hpp"

namespace bryo::engine {
namespace {

constexpr std::string_view kContainerPrefix = "container:";
constexpr std::size_t kMaxMemory = 4U << 20;
constexpr std::size_t kMaxFile = 1U << 20;  // hosts, resolv.conf

bool shares_network(const Record& record) { return record.host_config.network_mode.starts_with(kContainerPrefix); }

bool uses_init(const Record& record, const Options& options) { return record.host_config.init.value_or(options.init); }

std::string program_directory(const Options& options) {
  if (!options.program_directory.empty()) return options.program_directory;
  const std::string self = kernel::read_link(AT_FDCWD, "/proc/self/exe");
  return self.substr(0, self.rfind('/'));
}

}  // namespace

struct Launcher::Network {
  std::vector<network::Endpoint> endpoints;
  std::vector<network::PublishedPort> ports;
  std::vector<network::PublishedSocket> sockets;
  network::DnsSettings dns;
  std::vector<oci::cdi::NetDevice> devices;  // of the host's, to be moved in
  bool with_dns = false;
  bool with_bypass = false;
  bypass::Link bypass;
};

void Launcher::launch(Container& container) {
  resolve_user_once(container);
  Record record;
  {
    std::lock_guard lock(container.mutex);
    record = container.record;
  }
  StartTrace trace(s_.options.trace_directory, record.id);
  const std::string runtime_directory = s_.runtime_directory(record.id);
  Network network;
  std::shared_ptr<monitor::Monitor> monitor;
  try {
    network = reserve_network(record);
    trace.done("network: addresses and ports");
    s_.remove_runtime_directory(record.id);
    kernel::make_directory(AT_FDCWD, runtime_directory, 0700);
    kernel::try_make_directory(AT_FDCWD, s_.container_directory(record.id), 0700);
    write_files(record, network);
    trace.done("directories, hosts, hostname, resolv.conf");
    auto request = make_request(record, network);
    const std::string cgroup_path = request.cgroup_path;
    trace.done("spec and plan");
    const auto spawn = [&] { monitor = hub_.spawn(std::move(request)); };
    if (record.host_config.network_mode == "host")
      s_.on_host_network(spawn);
    else
      spawn();
    give_pending(container, *monitor);
    trace.done("monitor: spawn");
    set_up_network(*monitor, record, network);
    trace.done("network: interfaces");
    const CgroupName cgroup{s_.options.rootless ? s_.cgroups.unified() : "", cgroup_path};
    // Before it runs: an engine that finds it running must know its addresses and ports.
    const std::string started_at = to_rfc3339_nano(wall_now());
    remember(record.id, {network.endpoints, network.ports, started_at, cgroup.path, cgroup.root, network.with_bypass});
    trace.done("remember");
    const auto started = monitor->start();
    for (const std::string& text : started.warnings) log::warning("container {}: {}", record.id.substr(0, 12), text);
    trace.done("mounts, credentials, exec");
    std::lock_guard lock(container.mutex);
    container.monitor = monitor;
    container.process = started;
    container.record.started_at = started_at;
    container.cgroup = cgroup;
    container.endpoints = std::move(network.endpoints);
    container.ports = std::move(network.ports);
    container.bypass = network.with_bypass;
  } catch (...) {
    if (monitor)
      monitor->close();
    else
      discard_bundle(record);
    s_.networks.release_container(record.id);
    discard_run(record);
    std::lock_guard lock(container.mutex);
    container.pending.clear();
    throw;
  }
}

// What is in the runtime directory would make the next engine take this for a run whose end nobody saw.
void Launcher::discard_run(const Record& record) const {
  try {
    s_.remove_runtime_directory(record.id);
  } catch (const Error& error) {
    log::warning("container {}: after a start that failed: {}", record.id, error.message());
  }
}

void Launcher::resolve_user_once(Container& container) {
  std::unique_lock lock(container.mutex);
  if (container.record.user) return;
  const Record record = container.record;
  lock.unlock();
  ResolvedUser user = user_of_image(record);
  lock.lock();
  container.record.user = std::move(user);
}

// Before the first start. The layers are usually enough; mounting them only to read two files takes longer than all
// else.
ResolvedUser Launcher::user_of_image(const Record& record) const {
  const auto rootfs = s_.snapshots->describe(s_.snapshot_of(record.id));
  const auto passwd = read_from_layers(rootfs, "passwd");
  const auto group = passwd ? read_from_layers(rootfs, "group") : std::nullopt;
  if (group) return resolve_user_in(record.config.user, named_groups(record.host_config), *passwd, *group);
  const kernel::RootDirectory root(s_.snapshots->mount_view(s_.snapshot_of(record.id), true));
  return user_of(record, record.config.user, root);
}

ResolvedUser Launcher::user_of(const Record& record, std::string_view user, const kernel::RootDirectory& root) const {
  return resolve_user(user, named_groups(record.host_config), root);
}

std::string Launcher::shared_memory_of(const std::string& ipc_mode) {
  const auto other = s_.containers.find(std::string_view(ipc_mode).substr(kContainerPrefix.size()));
  std::lock_guard lock(other->mutex);
  const std::string& theirs = other->record.host_config.ipc_mode;
  if (theirs != "shareable" && theirs != "host")
    fail(ErrorKind::invalid_argument,
         "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
         other->record.id);
  return fmt::format("/proc/{}/root/dev/shm", other->process.pid);
}

std::map<std::string, std::string> Launcher::joined_namespaces(const Record& record) {
  std::map<std::string, std::string> out;
  const auto join = [&](const std::string& mode, const std::string& type, const std::string& file) {
    if (!mode.starts_with(kContainerPrefix)) return;
    const auto other = s_.containers.find(std::string_view(mode).substr(kContainerPrefix.size()));
    std::lock_guard lock(other->mutex);
    if (!other->is_up())
      fail(ErrorKind::conflict, "cannot join {} of a non running container: {}", type, other->record.id);
    if (other->record.maps != record.maps)
      fail(ErrorKind::invalid_argument,
           "cannot join {} of container {}: it has other ids (use the same --userns for both)", type, other->record.id);
    const std::string base = fmt::format("/proc/{}", other->process.pid);
    out[type] = base + "/ns/" + file;
    if (!record.maps.is_identity()) out["user"] = base + "/ns/user";
  };
  join(record.host_config.network_mode, "network", "net");
  join(record.host_config.pid_mode, "pid", "pid");
  join(record.host_config.ipc_mode, "ipc", "ipc");
  // POSIX shared memory is files: the other's /dev/shm comes with its namespace.
  if (out.contains("ipc")) out["shm"] = shared_memory_of(record.host_config.ipc_mode);
  return out;
}

network::DnsSettings Launcher::dns_of(const Record& record) const {
  const HostConfig& host = record.host_config;
  return {host.dns.empty() ? s_.options.dns : host.dns,
          host.dns_search.empty() ? s_.options.dns_search : host.dns_search,
          host.dns_options.empty() ? s_.options.dns_options : host.dns_options};
}

Launcher::Network Launcher::reserve_network(const Record& record) {
  Network out;
  out.dns = dns_of(record);
  if (shares_network(record) || record.config.network_disabled) return out;
  for (const auto& [name, settings] : record.networks) {
    out.endpoints.push_back(
        s_.networks.reserve(name == "default" ? "bridge" : name, endpoint_request(record, name, settings)));
  }
  const auto gateway = s_.networks.gateway_endpoint(out.endpoints);
  const auto wanted = ports_to_publish(record, s_.options.default_publish_ip);
  if (gateway != network::NetworkManager::npos && !wanted.empty()) {
    auto published = s_.networks.publish(record.id, out.endpoints[gateway], wanted);
    out.ports = std::move(published.ports);
    out.sockets = std::move(published.sockets);
  }
  out.with_dns = s_.networks.needs_dns(out.endpoints);
  out.with_bypass = wants_bypass(s_, out.endpoints);
  return out;
}

void Launcher::write_file(const Record& record, std::string_view name, std::string_view text) {
  const std::string path = s_.runtime_directory(record.id) + "/" + std::string(name);
  const UniqueFd file = kernel::open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  kernel::write_all(file.get(), std::as_bytes(std::span(text)));
  kernel::change_mode(file.get(), 0644);
  if (!record.maps.is_identity())
    kernel::change_owner(file.get(), ids::value(record.maps.root_uid()), ids::value(record.maps.root_gid()));
}

// A container in another's network has that one's names, one in the host's network the host's.
Launcher::HostNames Launcher::names_of(const Record& record) const {
  if (shares_network(record)) {
    const auto other =
        s_.containers.find(std::string_view(record.host_config.network_mode).substr(kContainerPrefix.size()));
    Record theirs;
    {
      std::lock_guard lock(other->mutex);
      theirs = other->record;
    }
    return names_of(theirs);
  }
  const std::string& hostname = record.config.hostname;
  return {hostname.empty() ? kernel::host_name() : hostname, record.config.domainname};
}

std::string Launcher::hosts_text(const Record& record, const std::vector<network::Endpoint>& endpoints) {
  const bool host_network = record.host_config.network_mode == "host";
  const auto [hostname, domainname] = names_of(record);
  network::HostsFile hosts;
  hosts.hostname = hostname;
  hosts.domainname = domainname;
  for (const auto& endpoint : endpoints) {
    if (!endpoint.ip_address.empty()) hosts.addresses.push_back(endpoint.ip_address);
    if (!endpoint.ipv6_address.empty()) hosts.addresses.push_back(endpoint.ipv6_address);
  }
  const std::string host_gateway =
      s_.options.host_gateway_ip.empty() ? s_.networks.host_gateway() : s_.options.host_gateway_ip;
  if (record.host_config.extra_hosts)
    for (const std::string& text : *record.host_config.extra_hosts)
      hosts.extra.push_back(network::parse_extra_host(text, host_gateway));
  if (s_.options.rootless && !s_.options.rootless->host_address.empty() && !host_network)
    hosts.extra.push_back({s_.options.rootless->host_address, {"host.docker.internal"}});
  if (record.host_config.links && !host_network) {
    for (const std::string& link : *record.host_config.links) {
      const auto parts = split_once(link, ':');
      const auto other = s_.containers.find(parts ? parts->first : std::string_view(link));
      std::lock_guard lock(other->mutex);
      if (other->endpoints.empty())
        fail(ErrorKind::conflict, "Cannot link to a non running container: /{} AS {}", other->record.name,
             printable(link));
      hosts.links.push_back({other->endpoints.front().ip_address,
                             {std::string(parts ? parts->second : std::string_view(link)),
                              other->record.config.hostname, other->record.name}});
    }
  }
  return network::hosts_file(hosts);
}

std::string Launcher::resolv_text(const Record& record, const std::vector<network::Endpoint>& endpoints) const {
  return record.host_config.network_mode == "host"
             ? s_.networks.host_resolv_conf(dns_of(record))
             : s_.networks.resolv_conf(dns_of(record), s_.networks.needs_dns(endpoints));
}

void Launcher::write_files(const Record& record, const Network& network) {
  if (shares_network(record)) return;
  write_file(record, "hosts", hosts_text(record, network.endpoints));
  write_file(record, "hostname", network::hostname_file(names_of(record).hostname));
  write_file(record, "resolv.conf", resolv_text(record, network.endpoints));
}

void Launcher::rewrite_files(const Record& record, const std::vector<network::Endpoint>& before,
                             const std::vector<network::Endpoint>& after) {
  const auto rewrite = [&](const char* name, const std::string& ours, const std::string& text) {
    if (ours == text) return;
    // The container has this very file mounted: a new one in its place would not be seen.
    const std::string path = s_.runtime_directory(record.id) + "/" + name;
    if (kernel::read_file(kernel::open_at(AT_FDCWD, path, O_RDONLY).get(), kMaxFile) != ours) return;
    const UniqueFd file = kernel::open_at(AT_FDCWD, path, O_WRONLY | O_TRUNC);
    kernel::write_all(file.get(), std::as_bytes(std::span(text)));
  };
  try {
    rewrite("hosts", hosts_text(record, before), hosts_text(record, after));
    rewrite("resolv.conf", resolv_text(record, before), resolv_text(record, after));
  } catch (const Error& error) {
    log::warning("container {}: its hosts or resolv.conf are those of its start: {}", record.id, error.message());
  }
}

std::map<std::string, std::string> Launcher::files_of(const Record& record) const {
  std::string directory = s_.runtime_directory(record.id);
  if (shares_network(record)) {
    const auto other =
        s_.containers.find(std::string_view(record.host_config.network_mode).substr(kContainerPrefix.size()));
    directory = s_.runtime_directory(other->record.id);
  }
  return {{"/etc/hosts", directory + "/hosts"},
          {"/etc/hostname", directory + "/hostname"},
          {"/etc/resolv.conf", directory + "/resolv.conf"}};
}

// Nobody has begun with it.
void Launcher::discard_bundle(const Record& record) const {
  if (!record.host_config.device_requests.is_null()) s_.bundles.settle(record.id);
}

std::string Launcher::cgroup_path(const Record& record) const {
  if (s_.cgroups.version() == kernel::CgroupVersion::none) return {};
  const std::string parent = !record.host_config.cgroup_parent.empty() ? record.host_config.cgroup_parent
                             : !s_.options.cgroup_parent.empty()       ? s_.options.cgroup_parent
                                                                       : "/bryo";
  return (parent.starts_with('/') ? "" : "/") + parent + "/" + record.id;
}

CgroupName Launcher::cgroup_name(const Record& record, const NetworkMemory& memory) const {
  return {memory.cgroup_root, memory.cgroup_path ? *memory.cgroup_path : cgroup_path(record)};
}

SpecInputs Launcher::spec_inputs(const Record& record, bool bypass) {
  SpecInputs inputs;
  inputs.record = &record;
  inputs.user = record.user.value_or(ResolvedUser{});
  inputs.joined = joined_namespaces(record);
  inputs.files = files_of(record);
  const auto [hostname, domainname] = names_of(record);
  inputs.hostname = hostname;
  inputs.domainname = domainname;
  inputs.cgroup_path = cgroup_path(record);
  inputs.facts = &s_.facts;
  inputs.default_ulimits = s_.options.default_ulimits;
  inputs.seccomp_profile = s_.seccomp_profile;
  inputs.apparmor = s_.apparmor->profile_of(record.host_config);
  if (inputs.apparmor == kDefaultAppArmorProfile) s_.apparmor->ensure_loaded();
  inputs.no_new_privileges = s_.options.no_new_privileges;
  inputs.init = uses_init(record, s_.options);
  inputs.rootless = s_.options.rootless.has_value();
  inputs.bypass = bypass;
  return inputs;
}

// What was accepted when the container was made may have become impossible: the host has been configured anew.
kernel::CgroupLimits Launcher::limits_of_now(const Record& record) {
  Resources resources = record.host_config;
  std::vector<std::string> warnings;
  const LimitRules rules = s_.limit_rules();
  settle_limits(resources, rules, warnings);
  for (const std::string& warning : warnings) log::warning("container {}: {}", record.id.substr(0, 12), warning);
  kernel::CgroupLimits out = cgroup_limits(resources);
  if (rules.device_rules) out.devices = cgroup_devices(record.host_config);
  return out;
}

// Asked only when it matters: where resctrl is.
runtime::LaunchPlan Launcher::make_plan_of(const oci::RuntimeSpec& spec, const runtime::RootfsSource& rootfs,
                                           const runtime::PlanOptions& options, std::string& resctrl) const {
  if (!spec.linux_->intel_rdt) return runtime::make_plan(spec, s_.facts, rootfs, options);
  runtime::HostFacts facts = s_.facts;
  facts.resctrl = resctrl = kernel::find_resctrl();
  return runtime::make_plan(spec, facts, rootfs, options);
}

monitor::StartRequest Launcher::make_request(const Record& record, Network& network) {
  SpecInputs inputs = spec_inputs(record, network.with_bypass);
  inputs.cdi = cdi_edits(record.host_config, s_.options.cdi_spec_dirs, s_.options.rootless.has_value());
  network.devices = inputs.cdi.net_devices;
  for (const ResolvedMount& mount : record.mounts) {
    if (mount.point.type != "bind") continue;
    if (kernel::try_stat_at(AT_FDCWD, mount.point.source)) continue;
    if (!mount.create_source)
      fail(ErrorKind::invalid_argument, "invalid mount config for type \"bind\": bind source path does not exist: {}",
           mount.point.source);
    kernel::RootDirectory::open("/").make_directories(mount.point.source, 0755);
  }
  runtime::PlanOptions options;
  options.cgroup_path = inputs.cgroup_path;
  if (inputs.init) options.init_program = program_directory(s_.options) + "/bryo-init";
  options.keyring_name = record.id;
  options.container_id = record.id;
  options.default_seccomp = default_seccomp(inputs);
  const storage::SnapshotName snapshot = s_.snapshot_of(record.id);
  auto rootfs = to_rootfs_source(s_.snapshots->describe(snapshot));
  monitor::StartRequest request;
  if (UniqueFd root = s_.snapshots->mount_root(snapshot)) {
    rootfs.descriptor = static_cast<std::int32_t>(request.plan_descriptors.size());
    request.plan_descriptors.push_back(std::move(root));
  }
  const oci::RuntimeSpec spec = build_spec(inputs);
  std::string resctrl;
  request.plan = runtime::serialize(make_plan_of(spec, rootfs, options, resctrl));
  if (needs_bundle(spec)) request.bundle = s_.bundles.make(record, spec, resctrl);

  request.container_id = record.id;
  request.runtime_directory = s_.runtime_directory(record.id);
  request.cgroup_path = inputs.cgroup_path;
  request.cgroup_limits = limits_of_now(record);
  // No rules at all: everything is allowed.
  if (auto& rules = request.cgroup_limits.devices; !rules.empty())
    for (auto& rule : device_rules(inputs.cdi)) rules.push_back(std::move(rule));
  request.terminal = record.config.tty;
  request.open_stdin = record.config.open_stdin;
  request.stdin_once = record.config.stdin_once;
  request.log = log_config(record, s_.container_directory(record.id));
  request.console_size = {static_cast<std::uint16_t>(record.host_config.console_size[0]),
                          static_cast<std::uint16_t>(record.host_config.console_size[1])};
  request.ports = forwards_of(std::move(network.sockets));
  network.sockets.clear();
  request.wait_for_network = !network.endpoints.empty() || !network.devices.empty();
  if (network.with_bypass) {
    network.bypass = bypass::Link::make();
    request.bypass = UniqueFd(::fcntl(network.bypass.ours.get(), F_DUPFD_CLOEXEC, 0));
  }
  return request;
}

void Launcher::set_up_network(monitor::Monitor& monitor, const Record& record, Network& network) {
  if (network.endpoints.empty() && network.devices.empty()) return;
  const UniqueFd netns = monitor.network_namespace();
  if (!netns) return;  // the host's own
  const auto gateway = s_.networks.gateway_endpoint(network.endpoints);
  for (std::size_t i = 0; i < network.endpoints.size(); ++i)
    s_.networks.attach(network.endpoints[i], netns.get(), static_cast<unsigned>(i), i == gateway);
  for (const auto& device : network.devices) s_.networks.move_device(device.host_name, device.name, netns.get());
  if (network.with_dns) s_.networks.serve_dns(record.id, netns.get(), network.dns);
  if (network.with_bypass) start_bypass(s_, hub_, record, network.bypass, netns.get());
}

void Launcher::replace_bypass(Container& container) {
  std::shared_ptr<monitor::Monitor> monitor;
  Record record;
  int pid = 0;
  {
    std::lock_guard lock(container.mutex);
    if (!container.monitor || !container.bypass) return;
    monitor = container.monitor;
    record = container.record;
    pid = container.process.pid;
  }
  log::warning("container {}: its bypass helper is gone; starting another", record.id);
  bypass::Link link = bypass::Link::make();
  const UniqueFd netns = kernel::open_trusted(fmt::format("/proc/{}/ns/net", pid), O_RDONLY);
  start_bypass(s_, hub_, record, link, netns.get());
  monitor->use_bypass(std::move(link.ours));
}

void Launcher::give_pending(Container& container, monitor::Monitor& monitor) {
  std::lock_guard lock(container.mutex);
  for (PendingAttach& client : container.pending) {
    monitor::AttachRequest request;
    request.stdin_stream = client.request.in;
    request.stdout_stream = client.request.out;
    request.stderr_stream = client.request.err;
    monitor.attach_to(request, std::move(client.socket));
  }
  container.pending.clear();
}

void Launcher::remember_network(const Container& container) {
  NetworkMemory memory;
  std::string id;
  {
    std::lock_guard lock(container.mutex);
    memory.endpoints = container.endpoints;
    memory.ports = container.ports;
    memory.started_at = container.record.started_at;
    memory.cgroup_path = container.cgroup.path;
    memory.cgroup_root = container.cgroup.root;
    memory.bypass = container.bypass;
    id = container.record.id;
  }
  remember(id, memory);
}

void Launcher::remember(const std::string& id, const NetworkMemory& memory) const {
  const std::string directory = s_.runtime_directory(id);
  const std::string text = json::serialize(json::encode(memory));
  const UniqueFd file = kernel::open_at(AT_FDCWD, directory + "/network.json.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  kernel::write_all(file.get(), std::as_bytes(std::span(text)));
  kernel::rename_at(AT_FDCWD, directory + "/network.json.new", AT_FDCWD, directory + "/network.json");
}

NetworkMemory recall_network(const std::string& runtime_directory) {
  const UniqueFd file = kernel::open_at(AT_FDCWD, runtime_directory + "/network.json", O_RDONLY);
  return json::decode<NetworkMemory>(json::parse(kernel::read_file(file.get(), kMaxMemory)));
}

}  // namespace bryo::engine

#include <algorithm>
#include <array>
#include <climits>

#include "api/daemon/option_values.hpp"
#include "api/daemon/options.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"

namespace bryo::daemon {
namespace {

using O = DaemonOptions;
using S = const std::string&;
using K = OptionKind;

void add_unique(std::vector<std::string>& list, S value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

void ignored(O& o, const char* option, const char* why) {
  add_unique(o.warnings, fmt::format("option {} has no effect: {}", option, why));
}

[[noreturn]] void refused(const char* what) { fail(ErrorKind::unsupported, "{}", what); }

void set_exec_option(O& o, S value) {
  const auto [key, driver] = parse_key_value(value);
  if (key != "native.cgroupdriver") fail(ErrorKind::invalid_argument, "unknown exec option \"{}\"", key);
  if (driver != "cgroupfs" && driver != "systemd")
    fail(ErrorKind::invalid_argument, "\"{}\" is not a cgroup driver: expected cgroupfs or systemd", driver);
  if (driver == "systemd")
    ignored(o, "native.cgroupdriver=systemd", "this engine manages its cgroups itself (cgroupfs)");
  o.engine.cgroup_driver = "cgroupfs";
}

void set_cgroup_limits(O& o, S value) {
  if (value != "strict" && value != "warn")
    fail(ErrorKind::invalid_argument, "\"{}\" is neither strict nor warn", value);
  o.engine.strict_limits = value == "strict";
}

void set_image_store(O& o, S value) {
  if (value != "shared" && value != "isolated")
    fail(ErrorKind::invalid_argument, "\"{}\" is neither shared nor isolated", value);
  o.engine.isolated_images = value == "isolated";
}

void set_proxy(O& o, S value) {
  const auto [key, url] = parse_key_value(value);
  if (key == "http-proxy")
    o.http_proxy = url;
  else if (key == "https-proxy")
    o.https_proxy = url;
  else if (key == "no-proxy")
    o.no_proxy = url;
  else
    fail(ErrorKind::invalid_argument, "unknown key \"{}\"", key);
}

std::string checked_cdi_dir(S value) {
  if (!value.empty() && !value.starts_with('/'))
    fail(ErrorKind::invalid_argument, "\"{}\" is not an absolute path", printable(value));
  return std::string(value);
}

void set_storage_option(O& o, S value) {
  const auto pair = parse_key_value(value);
  ignored(o, "storage-opt", fmt::format("{} is not an option of this engine's storage drivers", pair.first).c_str());
}

// Order: as --help shows them.
constexpr Option kTable[] = {
    {"host", 'H', "hosts", K::list, [](O& o, S v) { add_unique(o.hosts, v); },
     "Socket to listen on: unix://path, tcp://host:port, fd:// (default unix:///run/bryo/bryo.sock and, unless another "
     "daemon answers there, unix:///var/run/docker.sock)"},
    {"group", 'G', "group", K::text, [](O& o, S v) { o.group = v; }, "Group of the unix sockets (default docker, bryo)"},
    {"data-root", 'g', "data-root", K::text, [](O& o, S v) { o.engine.data_root = v; },
     "Root directory of persistent state (default /var/lib/bryo)"},
    {"exec-root", 0, "exec-root", K::text, [](O& o, S v) { o.engine.exec_root = v; },
     "Root directory of run-time state (default /run/bryo)"},
    {"pidfile", 'p', "pidfile", K::text, [](O& o, S v) { o.pidfile = v; }, "File for the daemon's process id"},
    {"config-file", 0, "", K::text,
     [](O& o, S v) {
       o.config_file = v;
       o.config_file_given = true;
     },
     "Configuration file (default /etc/bryo/daemon.json)"},
    {"validate", 0, "", K::boolean, [](O& o, S v) { o.validate = parse_bool(v); }, "Check the configuration and exit"},

    {"userns-remap", 0, "userns-remap", K::text, [](O& o, S v) { o.engine.userns_remap = v; },
     "User or group whose subordinate ids containers get: user, user:group, uid, uid:gid, default"},
    {"userns", 0, "userns", K::text, [](O& o, S v) { o.engine.userns_default = v; },
     "User namespace of containers that do not say: auto[:size=N] gives each a range of its own"},
    {"image-store", 0, "image-store", K::text, set_image_store,
     "shared: all id maps see the same images (default); isolated: as dockerd"},
    {"storage-driver", 's', "storage-driver", K::text, [](O& o, S v) { o.engine.storage_driver = v; },
     "Storage driver: overlay2, fuse-overlayfs, vfs"},
    {"storage-opt", 0, "storage-opts", K::list, set_storage_option, "Storage driver options"},

    {"insecure-registry", 0, "insecure-registries", K::list,
     [](O& o, S v) { add_unique(o.engine.insecure_registries, v); }, "Registry spoken to without TLS verification"},
    {"registry-mirror", 0, "registry-mirrors", K::list, [](O& o, S v) { add_unique(o.engine.registry_mirrors, v); },
     "Mirror asked before Docker Hub"},
    {"max-concurrent-downloads", 0, "max-concurrent-downloads", K::number,
     [](O& o, S v) { o.engine.max_concurrent_downloads = parse_number(v, 1, 1000); }, "Layers pulled at once (default 3)"},
    {"max-concurrent-uploads", 0, "max-concurrent-uploads", K::number,
     [](O& o, S v) { o.engine.max_concurrent_uploads = parse_number(v, 1, 1000); }, "Layers pushed at once (default 5)"},
    {"http-proxy", 0, "http-proxy", K::text, [](O& o, S v) { o.http_proxy = v; }, "Proxy for http registries"},
    {"https-proxy", 0, "https-proxy", K::text, [](O& o, S v) { o.https_proxy = v; }, "Proxy for https registries"},
    {"no-proxy", 0, "no-proxy", K::text, [](O& o, S v) { o.no_proxy = v; }, "Hosts reached without a proxy"},
    {"", 0, "proxies", K::proxies, set_proxy, ""},

    {"bridge", 'b', "bridge", K::text, [](O& o, S v) { o.engine.bridge = v; },
     "Bridge of the default network: a name, or none"},
    {"bip", 0, "bip", K::text, [](O& o, S v) { o.engine.bip = v; }, "Address of the default bridge, as CIDR"},
    {"fixed-cidr", 0, "fixed-cidr", K::text, [](O& o, S v) { o.engine.fixed_cidr = v; },
     "IPv4 range for containers of the default bridge"},
    {"fixed-cidr-v6", 0, "fixed-cidr-v6", K::text, [](O& o, S v) { o.engine.fixed_cidr_v6 = v; },
     "IPv6 range for containers of the default bridge"},
    {"default-gateway", 0, "default-gateway", K::text, [](O& o, S v) { o.engine.default_gateway = checked_ip(v); },
     "IPv4 gateway of the default bridge's containers"},
    {"default-address-pool", 0, "default-address-pools", K::pools,
     [](O& o, S v) { o.engine.default_address_pools.push_back(parse_pool(v)); },
     "Pool that new networks are cut from: base=CIDR,size=N"},
    {"mtu", 0, "mtu", K::number, [](O& o, S v) { o.engine.mtu = parse_number(v, 0, 65535); },
     "MTU of the default bridge"},
    {"icc", 0, "icc", K::boolean, [](O& o, S v) { o.engine.icc = parse_bool(v); },
     "Containers of the default bridge may talk to each other (default true)"},
    {"ip", 0, "ip", K::text, [](O& o, S v) { o.engine.default_publish_ip = checked_ip(v); },
     "Address that ports are published on when none is given"},
    {"ip-forward", 0, "ip-forward", K::boolean, [](O& o, S v) { o.engine.ip_forward = parse_bool(v); },
     "Turn on net.ipv4.ip_forward (default true)"},
    {"ip-masq", 0, "ip-masq", K::boolean, [](O& o, S v) { o.engine.ip_masq = parse_bool(v); },
     "Masquerade traffic of the default bridge (default true)"},
    {"iptables", 0, "iptables", K::boolean, [](O& o, S v) { o.engine.nat_rules = parse_bool(v); },
     "Make firewall rules, in a table of our own (default true)"},
    {"ip6tables", 0, "ip6tables", K::boolean, [](O& o, S v) { static_cast<void>(o), static_cast<void>(parse_bool(v)); },
     "Accepted; one table serves both families"},
    {"ipv6", 0, "ipv6", K::boolean, [](O& o, S v) { o.engine.ipv6 = parse_bool(v); }, "IPv6 on the default bridge"},
    {"userland-proxy", 0, "userland-proxy", K::boolean,
     [](O& o, S v) { static_cast<void>(o), static_cast<void>(parse_bool(v)); },
     "Accepted; loopback ports are served by each container's monitor"},
    {"host-gateway-ip", 0, "host-gateway-ip", K::text, [](O& o, S v) { o.engine.host_gateway_ip = checked_ip(v); },
     "Address that host-gateway in --add-host stands for"},
    {"bypass", 0, "bypass", K::boolean, [](O& o, S v) { o.engine.bypass = parse_bool(v); },
     "Rootless: containers of every network connect past the user-mode network, as with --network bypass"},
    {"bypass-udp", 0, "bypass-udp", K::boolean, [](O& o, S v) { o.engine.bypass_udp = parse_bool(v); },
     "Bypass for connected UDP sockets, too: such a container can send datagrams to the host's 127.0.0.1"},
    {"dns", 0, "dns", K::list, [](O& o, S v) { add_unique(o.engine.dns, checked_ip(v)); }, "DNS server of containers"},
    {"dns-opt", 0, "dns-opts", K::list, [](O& o, S v) { add_unique(o.engine.dns_options, v); }, "DNS option"},
    {"dns-search", 0, "dns-search", K::list, [](O& o, S v) { add_unique(o.engine.dns_search, v); }, "DNS search domain"},

    {"log-driver", 0, "log-driver", K::text, [](O& o, S v) { o.engine.default_log.type = v; },
     "Log driver of containers that do not say (default json-file)"},
    {"log-opt", 0, "log-opts", K::map,
     [](O& o, S v) {
       const auto [key, value] = parse_key_value(v);
       o.engine.default_log.config[key] = value;
     },
     "Option of the default log driver"},
    {"default-ulimit", 0, "default-ulimits", K::ulimits,
     [](O& o, S v) { o.engine.default_ulimits.push_back(parse_ulimit(v)); }, "Ulimit of containers: name=soft:hard"},
    {"default-shm-size", 0, "default-shm-size", K::size,
     [](O& o, S v) { o.engine.default_shm_size = parse_size(v); }, "Size of /dev/shm (default 64M)"},
    {"cgroup-parent", 0, "cgroup-parent", K::text, [](O& o, S v) { o.engine.cgroup_parent = v; },
     "Parent cgroup of containers"},
    {"cgroup-limits", 0, "cgroup-limits", K::text, set_cgroup_limits,
     "What becomes of limits that cannot be kept here: strict (the container fails), warn"},
    {"default-cgroupns-mode", 0, "default-cgroupns-mode", K::text,
     [](O& o, S v) { o.engine.default_cgroupns_mode = v; }, "Cgroup namespace of containers: host, private"},
    {"default-ipc-mode", 0, "default-ipc-mode", K::text, [](O& o, S v) { o.engine.default_ipc_mode = v; },
     "IPC mode of containers: shareable, private"},
    {"exec-opt", 0, "exec-opts", K::list, set_exec_option, "native.cgroupdriver=cgroupfs"},
    {"init", 0, "init", K::boolean, [](O& o, S v) { o.engine.init = parse_bool(v); },
     "Run an init in containers that reaps processes"},
    {"seccomp-profile", 0, "seccomp-profile", K::text, [](O& o, S v) { o.engine.seccomp_profile = v; },
     "Seccomp profile of containers: builtin, unconfined, or a file"},
    {"no-new-privileges", 0, "no-new-privileges", K::boolean,
     [](O& o, S v) { o.engine.no_new_privileges = parse_bool(v); }, "Set no-new-privileges on new containers"},

    {"live-restore", 0, "live-restore", K::boolean, [](O& o, S v) { o.engine.live_restore = parse_bool(v); },
     "Leave containers running when the daemon stops (default true; false stops them as dockerd does)"},
    {"shutdown-timeout", 0, "shutdown-timeout", K::number,
     [](O& o, S v) { o.engine.shutdown_timeout = parse_number(v, -1, INT_MAX); },
     "Seconds for containers to stop with --live-restore=false (default 15)"},
    {"label", 0, "labels", K::list,
     [](O& o, S v) {
       static_cast<void>(parse_key_value(v));
       add_unique(o.engine.labels, v);
     },
     "Label of the daemon: key=value"},
    {"debug", 'D', "debug", K::boolean, [](O& o, S v) { o.engine.debug = parse_bool(v); }, "Log at level debug"},
    {"log-level", 'l', "log-level", K::text,
     [](O& o, S v) {
       static_cast<void>(log::parse_level(v));
       o.log_level = v;
     },
     "Log level: debug, info, warn, error, fatal (default info)"},
    {"experimental", 0, "experimental", K::boolean, [](O& o, S v) { o.engine.experimental = parse_bool(v); },
     "Experimental features"},
    {"user-network", 0, "user-network", K::text,
     [](O& o, S v) { o.user_network.driver = rootless::parse_network_driver(v); },
     "Without root, what connects containers with the host's network: builtin, pasta, slirp4netns (default builtin)"},
    {"allow-host-port", 0, "allow-host-ports", K::list,
     [](O& o, S v) { o.user_network.host_ports.push_back(static_cast<std::uint16_t>(parse_number(v, 1, 65535))); },
     "Without root, a port of the host's loopback that containers reach at host.docker.internal"},
    {"cdi-spec-dir", 0, "cdi-spec-dirs", K::list, [](O& o, S v) { o.engine.cdi_spec_dirs.push_back(checked_cdi_dir(v)); },
     "Directory of device specifications (CDI) for --device vendor.com/class=name (default /etc/cdi, /var/run/cdi; empty: none)"},
    {"trace-starts", 0, "trace-starts", K::text, [](O& o, S v) { o.engine.trace_directory = v; },
     "Directory for one file of timed steps for each container start"},

    {"tls", 0, "tls", K::boolean, [](O& o, S v) { o.tls = parse_bool(v); }, "TLS on tcp:// sockets"},
    {"tlsverify", 0, "tlsverify", K::boolean, [](O& o, S v) { o.tls_verify = parse_bool(v); },
     "TLS on tcp:// sockets, and clients need a certificate of --tlscacert"},
    {"tlscacert", 0, "tlscacert", K::text, [](O& o, S v) { o.tls_authority = v; },
     "Authority of clients' certificates (default /etc/bryo/ca.pem)"},
    {"tlscert", 0, "tlscert", K::text, [](O& o, S v) { o.tls_certificate = v; },
     "The server's certificate (default /etc/bryo/cert.pem)"},
    {"tlskey", 0, "tlskey", K::text, [](O& o, S v) { o.tls_key = v; }, "Its key (default /etc/bryo/key.pem)"},
    {"allowed-host", 0, "allowed-hosts", K::list, [](O& o, S v) { add_unique(o.allowed_hosts, v); },
     "Name that clients of tcp:// sockets without TLS may call this machine by"},

    {"selinux-enabled", 0, "selinux-enabled", K::boolean,
     [](O&, S v) {
       if (parse_bool(v)) refused("SELinux labels are not supported by this engine yet");
     },
     "Refused: not supported yet"},
    {"authorization-plugin", 0, "authorization-plugins", K::list,
     [](O&, S) { refused("authorization plugins are not supported by this engine"); }, "Refused: not supported"},
    {"userland-proxy-path", 0, "userland-proxy-path", K::text,
     [](O& o, S) { ignored(o, "userland-proxy-path", "there is no proxy program"); }, "Accepted"},
    {"init-path", 0, "init-path", K::text, [](O& o, S) { ignored(o, "init-path", "our own init is used"); }, "Accepted"},
    {"add-runtime", 0, "runtimes", K::anything,
     [](O& o, S) { ignored(o, "add-runtime", "containers are run by our own runtime"); }, "Accepted"},
    {"default-runtime", 0, "default-runtime", K::text,
     [](O& o, S) { ignored(o, "default-runtime", "containers are run by our own runtime"); }, "Accepted"},
    {"containerd", 0, "containerd", K::text, [](O& o, S) { ignored(o, "containerd", "there is no containerd"); },
     "Accepted"},
    {"containerd-namespace", 0, "containerd-namespace", K::text,
     [](O& o, S) { ignored(o, "containerd-namespace", "there is no containerd"); }, "Accepted"},
    {"metrics-addr", 0, "metrics-addr", K::text, [](O& o, S) { ignored(o, "metrics-addr", "not built yet"); }, "Accepted"},
    {"oom-score-adjust", 0, "oom-score-adjust", K::number,
     [](O& o, S) { ignored(o, "oom-score-adjust", "set it in the service unit"); }, "Accepted"},
    {"max-download-attempts", 0, "max-download-attempts", K::number,
     [](O& o, S) { ignored(o, "max-download-attempts", "downloads are resumed until they make no progress"); },
     "Accepted"},
    {"", 0, "features", K::anything, [](O& o, S) { ignored(o, "features", "they are dockerd's"); }, ""},
    {"", 0, "builder", K::anything, [](O& o, S) { ignored(o, "builder", "builds are not supported yet"); }, ""},

    {"version", 'v', "", K::boolean, [](O& o, S v) { o.version = parse_bool(v); }, "Print the version and exit"},
    {"help", 'h', "", K::boolean, [](O& o, S v) { o.help = parse_bool(v); }, "Print this help and exit"},
};

const Option* find_if(auto matches) {
  const auto* found = std::find_if(std::begin(kTable), std::end(kTable), matches);
  return found == std::end(kTable) ? nullptr : found;
}

}  // namespace

std::span<const Option> option_table() { return kTable; }

const Option* find_flag(std::string_view name) {
  return name.empty() ? nullptr : find_if([&](const Option& option) { return option.flag == name; });
}

const Option* find_letter(char letter) {
  return letter == '\0' ? nullptr : find_if([&](const Option& option) { return option.letter == letter; });
}

const Option* find_key(std::string_view key) {
  return key.empty() ? nullptr : find_if([&](const Option& option) { return option.key == key; });
}

std::string help_text() {
  std::string out = "Usage: bryod [OPTIONS]\n\nThe Bryo container engine: speaks the Docker Engine API.\n\nOptions:\n";
  for (const Option& option : kTable) {
    if (option.flag.empty()) continue;
    const std::string letter = option.letter != '\0' ? fmt::format("-{}, ", option.letter) : "    ";
    const char* argument = option.kind == OptionKind::boolean  ? ""
                           : option.kind == OptionKind::number ? " int"
                           : option.kind == OptionKind::list   ? " list"
                                                               : " string";
    out += fmt::format("  {}--{:<30} {}\n", letter, fmt::format("{}{}", option.flag, argument), option.help);
  }
  return out;
}

}  // namespace bryo::daemon

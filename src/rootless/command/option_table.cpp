#include "rootless/command/option_table.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::rootless::command {
namespace {

using O = Options;
using S = const std::string&;

constexpr int kSmallestMtu = 576;  // RFC 791
constexpr int kLargestMtu = 65521;

bool flag(S value) {
  if (value == "true" || value == "1" || value == "t") return true;
  if (value == "false" || value == "0" || value == "f") return false;
  fail(ErrorKind::invalid_argument, "\"{}\" is neither true nor false", printable(value, 40));
}

[[noreturn]] void refuse(std::string_view name, S value, std::string_view choices) {
  fail(ErrorKind::invalid_argument, "--{}={}: it must be one of {}", name, printable(value, 80), choices);
}

void set_network(O& o, S value) {
  o.network = NetworkKind::user_mode;
  if (value == "host")
    o.network = NetworkKind::host;
  else if (value == "none")
    o.network = NetworkKind::none;
  else if (value == "slirp" || value == "builtin")
    o.user_network.driver = NetworkDriver::builtin;
  else if (value == "slirp4netns")
    o.user_network.driver = NetworkDriver::slirp4netns;
  else if (value == "pasta")
    o.user_network.driver = NetworkDriver::pasta;
  else if (value == "vpnkit")
    o.user_network.driver = NetworkDriver::vpnkit;
  else if (value == "lxc-user-nic")
    fail(ErrorKind::unsupported,
         "--net=lxc-user-nic is not supported, because it needs a set-uid root program: use slirp or pasta");
  else
    refuse("net", value, "slirp (or builtin), slirp4netns, pasta, vpnkit, none, host");
}

void set_mtu(O& o, S value) {
  const auto mtu = parse_integer<int>(value);
  if (mtu && *mtu == 0) return;  // rootlesskit's "the default"
  if (!mtu || *mtu < kSmallestMtu || *mtu > kLargestMtu)
    fail(ErrorKind::invalid_argument, "--mtu={}: it must be a number from {} to {}", printable(value, 40), kSmallestMtu,
         kLargestMtu);
  o.user_network.mtu = *mtu;
}

void set_cidr(O& o, S value) {
  const auto prefix = kernel::IpPrefix::try_parse(value);
  if (!prefix || prefix->family() != kernel::Family::v4 || prefix->length() > 25)
    fail(ErrorKind::invalid_argument, "--cidr={}: it must be an IPv4 network such as 10.0.2.0/24, not smaller than /25",
         printable(value, 60));
  o.user_network.cidr = value;
}

void set_interface(O& o, S value) {
  const bool good = !value.empty() && value.size() <= 15 && value != "." && value != ".." && value != "lo" &&
                    std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c != '/' && c != ':'; });
  if (!good)
    fail(ErrorKind::invalid_argument, "--ifname={}: it must be a name of up to 15 letters, and not lo",
         printable(value, 40));
  o.user_network.interface = value;
}

void set_copy_up(O& o, S value) {
  std::string path = value;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.empty() || path[0] != '/' || path == "/" || path.find("/../") != std::string::npos || path.ends_with("/.."))
    fail(ErrorKind::invalid_argument, "--copy-up={}: it must be an absolute directory, and not /", printable(value));
  if (std::find(o.copy_up.begin(), o.copy_up.end(), path) == o.copy_up.end()) o.copy_up.push_back(std::move(path));
}

void set_copy_up_mode(O& o, S value) {
  if (value == "tmpfs+symlink")
    o.copy_up_mode = CopyUpMode::symlinks;
  else if (value == "overlay")
    o.copy_up_mode = CopyUpMode::overlay;
  else
    refuse("copy-up-mode", value, "tmpfs+symlink, overlay");
}

void set_propagation(O& o, S value) {
  if (value != "rprivate" && value != "rslave" && value != "rshared")
    refuse("propagation", value, "rprivate, rslave, rshared");
  o.propagation = value;
}

void set_port_driver(O& o, S value) {
  if (value == "none")
    o.port_driver = PortDriver::none;
  else if (value == "builtin")
    o.port_driver = PortDriver::builtin;
  else if (value == "slirp4netns")
    o.port_driver = PortDriver::slirp4netns;
  else if (value == "implicit")
    fail(ErrorKind::unsupported,
         "--port-driver=implicit is not supported: it would open every port that listens inside to the network. Name "
         "the ports: --port-driver=builtin --publish 8080:80/tcp");
  else
    refuse("port-driver", value, "none, builtin, slirp4netns");
}

void set_reaper(O& o, S value) {
  if (value != "auto" && value != "true" && value != "false") refuse("reaper", value, "auto, true, false");
  o.reaper = value != "false";
}

void set_subid_source(O& o, S value) {
  if (value == "auto")
    o.subid_source = SubidSource::automatic;
  else if (value == "dynamic")
    o.subid_source = SubidSource::dynamic;
  else if (value == "static")
    o.subid_source = SubidSource::fixed;
  else
    refuse("subid-source", value, "auto, dynamic, static");
}

void set_evacuation(O& o, S value) {
  if (value.empty() || value.find('/') != std::string::npos || value[0] == '.')
    fail(ErrorKind::invalid_argument, "--evacuate-cgroup2={}: it must be the name of a cgroup, without slashes",
         printable(value, 80));
  o.evacuate_cgroup2 = value;
}

// Whether slirp4netns confines itself: it always does here.
void check_confinement(O&, S value) {
  if (value != "auto" && value != "true")
    fail(ErrorKind::unsupported, "slirp4netns always runs confined here: leave this flag away, or give auto or true");
}

void set_program(std::string_view flag_name, std::string_view program, S value) {
  if (value == program) return;
  fail(ErrorKind::unsupported, "--{}={}: {} is taken from the host's directories of programs only", flag_name,
       printable(value), program);
}

// Order: as --help shows them.
constexpr Option kTable[] = {
    {"General", "debug", 0, false, [](O& o, S v) { o.debug = flag(v); }, "Say what is done"},
    {"General", "help", 'h', false, [](O& o, S v) { o.help = flag(v); }, "Print this"},
    {"General", "version", 'v', false, [](O& o, S v) { o.version = flag(v); }, "Print the version"},

    {"Files", "copy-up", 0, true, set_copy_up,
     "Make a directory writable for the command: it gets a copy (repeatable)"},
    {"Files", "copy-up-mode", 0, true, set_copy_up_mode,
     "How: tmpfs+symlink, or overlay (the same file names and no links) (default tmpfs+symlink)"},
    {"Files", "propagation", 0, true, set_propagation,
     "Whether later mounts of the host are seen: rprivate, rslave, rshared (default rprivate)"},

    {"Network", "net", 0, true, set_network,
     "slirp (or builtin: needs nothing installed), slirp4netns, pasta, vpnkit, none, host (default host)"},
    {"Network", "mtu", 0, true, set_mtu, "Largest packet of the user-mode network (default 65520)"},
    {"Network", "cidr", 0, true, set_cidr, "Its addresses (default 10.0.2.0/24)"},
    {"Network", "ifname", 0, true, set_interface, "Name of its interface (default tap0)"},
    {"Network", "ipv6", 0, false, [](O& o, S v) { o.ipv6 = flag(v); },
     "IPv6 on the user-mode network (default: true for slirp and pasta)"},
    {"Network", "disable-host-loopback", 0, false, [](O& o, S v) { o.user_network.host_loopback = !flag(v); },
     "Keep 127.0.0.1 of the host closed to the command"},
    {"Network", "detach-netns", 0, false, [](O& o, S v) { o.detach_netns = flag(v); },
     "The command stays in the host's network; the new one is the file netns in the state directory"},
    {"Network", "slirp4netns-binary", 0, true, [](O&, S v) { set_program("slirp4netns-binary", "slirp4netns", v); },
     "Only slirp4netns is accepted"},
    {"Network", "slirp4netns-sandbox", 0, true, check_confinement, "Always on"},
    {"Network", "slirp4netns-seccomp", 0, true, check_confinement, "Always on"},
    {"Network", "vpnkit-binary", 0, true, [](O&, S v) { set_program("vpnkit-binary", "vpnkit", v); },
     "Only vpnkit is accepted"},

    {"Ports", "port-driver", 0, true, set_port_driver, "none, builtin, slirp4netns (default none)"},
    {"Ports", "publish", 'p', true, [](O& o, S v) { o.publish.push_back(PortSpec::parse(v)); },
     "A port of the host that leads to the command: [IP:]PORT:[IP:]PORT/PROTOCOL (repeatable)"},

    {"Processes", "pidns", 0, false, [](O& o, S v) { o.pidns = flag(v); }, "Process ids of its own"},
    {"Processes", "cgroupns", 0, false, [](O& o, S v) { o.cgroupns = flag(v); }, "Its cgroup is the root that it sees"},
    {"Processes", "utsns", 0, false, [](O& o, S v) { o.utsns = flag(v); }, "A host name of its own"},
    {"Processes", "ipcns", 0, false, [](O& o, S v) { o.ipcns = flag(v); }, "System V IPC of its own"},
    {"Processes", "reaper", 0, true, set_reaper, "Wait for orphans: auto, true, false (default auto)"},
    {"Processes", "evacuate-cgroup2", 0, true, set_evacuation,
     "Move all processes of our cgroup (v2) into this one below it, and enable its controllers"},

    {"State", "state-dir", 0, true, [](O& o, S v) { o.state_directory = v; },
     "Directory of child_pid, lock and api.sock (default: a new one below /tmp)"},
    {"State", "subid-source", 0, true, set_subid_source,
     "Where subordinate ids come from: auto (as nsswitch.conf says), dynamic (libsubid), static (files) (default "
     "auto)"},
};

}  // namespace

std::span<const Option> option_table() { return kTable; }

}  // namespace bryo::rootless::command

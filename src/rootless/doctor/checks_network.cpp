#include <cerrno>

#include "base/strings.hpp"
#include "rootless/doctor/checks.hpp"
#include "rootless/doctor/judge.hpp"

namespace bryo::rootless::doctor {
namespace {

constexpr const char* kTun = "/dev/net/tun";
constexpr const char* kPortStart = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
constexpr int kHttp = 80;
constexpr mode_t kEverybody = 0006;

}  // namespace

Finding check_tun(const Host& host) {
  const std::string name = "tun", lost = "containers have no way out of their network";
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  const auto device = host.file(kTun);
  if (!device) return warning(name, fmt::format("{}: there is no {}", lost, kTun), modules_fix("tun", "tun"));
  const Outcome& made = host.attempt(Attempt::tap_device);
  if (made.worked) return ok(name, "made a tap device in a network namespace");
  const bool closed = (device->mode & kEverybody) != kEverybody && (made.number == EACCES || made.number == EPERM);
  const std::string fix = closed                                           ? fmt::format("sudo chmod 0666 {}", kTun)
                          : made.number == ENODEV || made.number == ENOENT ? modules_fix("tun", "tun")
                                                                           : "";
  return warning(name, fmt::format("{}: {}", lost, made.message), fix);
}

Finding check_bridge(const Host& host) {
  return by_attempt("bridge", host.attempt(Attempt::bridge), "made a bridge and a veth pair", State::missing,
                    "containers cannot be put into networks (only --network none and host work)",
                    modules_fix("bridge", "bridge veth"));
}

Finding check_nftables(const Host& host) {
  return by_attempt("nftables", host.attempt(Attempt::nftables),
                    "made a table with address translation and connection tracking", State::missing,
                    "containers cannot be put into networks (only --network none and host work)",
                    modules_fix("nftables", "nf_tables nft_ct nft_chain_nat nft_masq nf_conntrack"));
}

Finding check_transparent_sockets(const Host& host) {
  return by_attempt("transparent-sockets", host.attempt(Attempt::transparent_socket),
                    "IP_TRANSPARENT works: containers see who connects to their ports", State::warning,
                    "containers see Bryo's address instead of the client's on published ports", {});
}

Finding check_low_ports(const Host& host) {
  const std::string name = "low-ports";
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  const auto text = host.text(kPortStart);
  if (!text) return not_applicable(name, "this kernel has no such limit");
  const auto start = parse_integer<int>(trim(*text));
  if (!start) return warning(name, fmt::format("cannot tell: {} says \"{}\"", kPortStart, printable(*text, 40)));
  if (*start <= kHttp) return ok(name, fmt::format("ports from {} on can be published", *start));
  return warning(name, fmt::format("ports below {} cannot be published", *start),
                 sysctl_fix("net.ipv4.ip_unprivileged_port_start=80"));
}

Finding check_ping(const Host& host) {
  if (!ordinary(host)) return not_applicable("ping", "for users other than root");
  return by_attempt("ping", host.attempt(Attempt::ping_socket), "made a ping socket", State::warning,
                    "ping from containers gets no answer from outside",
                    sysctl_fix("net.ipv4.ping_group_range=0 2147483647"));
}

}  // namespace bryo::rootless::doctor

// The text of a container's /etc/resolv.conf. Pure functions over texts; resolv.conf(5) is the format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bryo::network {

inline constexpr std::string_view kEmbeddedDns = "127.0.0.11";

struct ResolvConf {
  std::vector<std::string> servers;
  std::vector<std::string> search;
  std::vector<std::string> options;
};

// Tolerant: unknown and malformed lines are left out.
ResolvConf parse_resolv_conf(std::string_view text);
// Servers that a container cannot reach are left out (loopback; IPv6 ones when it has no IPv6); if none is left, public
// ones are used, as Docker does: 8.8.8.8, 8.8.4.4. `asked` replaces what it names.
ResolvConf container_resolv_conf(const ResolvConf& host, const ResolvConf& asked, bool ipv6);
// The file of a container with embedded DNS: 127.0.0.11, the search list, options with ndots:0 unless given.
ResolvConf embedded_resolv_conf(const ResolvConf& host, const ResolvConf& asked);
// Throws Error{invalid_argument} when a value has a line break, a blank or a control byte (CVE-2022-4318).
std::string resolv_conf_file(const ResolvConf& contents);

}  // namespace bryo::network

// The text of a container's /etc/hosts and /etc/hostname. Pure functions: no file is read or written.
//
// Every name is checked before it becomes part of a line: a line break, blank or '#' in a host name would add entries
// of the caller's choice (CVE-2022-4318, CVE-2026-15809): Error{invalid_argument}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "network/endpoint.hpp"

namespace bryo::network {

struct HostsEntry {
  std::string address;
  std::vector<std::string> names;
};

struct HostsFile {
  std::string hostname;
  std::string domainname;
  std::vector<std::string> addresses;  // of the container, IPv4 first
  std::vector<HostsEntry> links;       // default bridge: links as entries
  std::vector<HostsEntry> extra;       // --add-host, parsed
};

// "name:address", "name=address", address may be IPv6 (also in brackets) or "host-gateway". Throws
// Error{invalid_argument, "bad format for add-host: …"} and "invalid IP address in add-host: …" (Docker's words).
HostsEntry parse_extra_host(std::string_view text, std::string_view host_gateway);
std::string hosts_file(const HostsFile& contents);
// With the final line break; checked as above, at most 64 bytes.
std::string hostname_file(std::string_view hostname);
// Letters, digits, '-', '_' and '.', no leading '-' or '.', at most 253 bytes.
bool valid_host_name(std::string_view name);

}  // namespace bryo::network

#include "network/hosts_file.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::network {
namespace {

constexpr std::size_t kLongestName = 253;     // RFC 1035
constexpr std::size_t kLongestHostName = 64;  // sethostname(2)

void require_name(std::string_view name) {
  if (valid_host_name(name)) return;
  fail(ErrorKind::invalid_argument,
       "\"{}\" cannot be a line of /etc/hosts: a host name has letters, digits, '-', '_' and '.' only",
       printable(name, 80));
}

void require_address(std::string_view address) {
  if (!kernel::IpAddress::try_parse(address))
    fail(ErrorKind::invalid_argument, "invalid IP address for /etc/hosts: \"{}\"", printable(address, 80));
}

// CVE-2022-4318: nothing reaches the file that was not checked.
void add_line(std::string& out, const std::string& address, const std::vector<std::string>& names) {
  require_address(address);
  std::for_each(names.begin(), names.end(), require_name);
  if (names.empty()) return;
  out += address + "\t" + join(names, " ") + "\n";
}

}  // namespace

bool valid_host_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || name.front() == '-' || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

HostsEntry parse_extra_host(std::string_view text, std::string_view host_gateway) {
  // The first of either: IPv6 addresses have colons.
  const std::size_t at = text.find_first_of(":=");
  if (at == std::string_view::npos || at == 0)
    fail(ErrorKind::invalid_argument, "bad format for add-host: \"{}\"", printable(text, 128));
  const std::string_view name = text.substr(0, at);
  std::string_view address = text.substr(at + 1);
  require_name(name);
  if (address == "host-gateway") {
    if (host_gateway.empty())
      fail(ErrorKind::invalid_argument,
           "unable to derive the IP value for host-gateway: there is no default bridge; give an address instead");
    address = host_gateway;
  }
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  const auto parsed = kernel::IpAddress::try_parse(address);
  if (!parsed) fail(ErrorKind::invalid_argument, "invalid IP address in add-host: \"{}\"", printable(address, 128));
  return {parsed->str(), {std::string(name)}};
}

std::string hosts_file(const HostsFile& contents) {
  std::string out =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "ff00::0\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  for (const HostsEntry& entry : contents.extra) add_line(out, entry.address, entry.names);
  for (const HostsEntry& entry : contents.links) add_line(out, entry.address, entry.names);
  if (contents.hostname.empty()) return out;
  std::vector<std::string> names{contents.hostname};
  if (!contents.domainname.empty()) names.insert(names.begin(), contents.hostname + "." + contents.domainname);
  for (const std::string& address : contents.addresses) {
    if (!address.empty()) add_line(out, address, names);
  }
  return out;
}

std::string hostname_file(std::string_view hostname) {
  require_name(hostname);
  if (hostname.size() > kLongestHostName)
    fail(ErrorKind::invalid_argument, "host name \"{}\" is longer than {} bytes", printable(hostname, 80),
         kLongestHostName);
  return std::string(hostname) + "\n";
}

}  // namespace bryo::network

#include "network/resolv_conf.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::network {
namespace {

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    if (end > 0) out.emplace_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return out;
}

// "search ." and "--dns-search=." mean: no search list.
std::vector<std::string> search_list(const ResolvConf& host, const ResolvConf& asked) {
  if (asked.search.empty()) return host.search;
  std::vector<std::string> out;
  for (const std::string& domain : asked.search) {
    if (domain != ".") out.push_back(domain);
  }
  return out;
}

bool is_ndots(std::string_view option) { return option.starts_with("ndots:"); }

// CVE-2022-4318: one value is one word.
void require_word(std::string_view value, std::string_view what) {
  const bool clean = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c != 0x7f; });
  if (value.empty() || value.size() > 255 || !clean)
    fail(ErrorKind::invalid_argument, "invalid DNS {} \"{}\": it must be one printable word", what,
         printable(value, 80));
}

void add_line(std::string& out, std::string_view keyword, const std::vector<std::string>& values) {
  if (values.empty()) return;
  for (const std::string& value : values) require_word(value, keyword);
  out += std::string(keyword) + " " + join(values, " ") + "\n";
}

}  // namespace

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf out;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line.substr(0, line.find_first_of("#;")));
    std::vector<std::string> parts = words(line);
    if (parts.size() < 2) continue;
    const std::string keyword = parts.front();
    parts.erase(parts.begin());
    if (keyword == "nameserver")
      out.servers.push_back(parts.front().substr(0, parts.front().find('%')));
    else if (keyword == "search" || keyword == "domain")
      out.search = parts;  // the last line counts
    else if (keyword == "options")
      out.options.insert(out.options.end(), parts.begin(), parts.end());
  }
  std::erase_if(out.servers, [](const std::string& server) { return !kernel::IpAddress::try_parse(server); });
  std::erase(out.search, ".");
  return out;
}

ResolvConf container_resolv_conf(const ResolvConf& host, const ResolvConf& asked, bool ipv6) {
  ResolvConf out;
  if (!asked.servers.empty()) {
    out.servers = asked.servers;
  } else {
    for (const std::string& server : host.servers) {
      const auto address = kernel::IpAddress::try_parse(server);
      if (!address || address->is_loopback() || (address->is_v6() && (!ipv6 || address->is_link_local()))) continue;
      out.servers.push_back(server);
    }
    if (out.servers.empty()) out.servers = {"8.8.8.8", "8.8.4.4"};
  }
  out.search = search_list(host, asked);
  out.options = asked.options.empty() ? host.options : asked.options;
  return out;
}

ResolvConf embedded_resolv_conf(const ResolvConf& host, const ResolvConf& asked) {
  ResolvConf out;
  out.servers = {std::string(kEmbeddedDns)};
  out.search = search_list(host, asked);
  out.options = asked.options.empty() ? host.options : asked.options;
  // The host's ndots would send the names of containers, which have no dot, through the search list first.
  if (asked.options.empty()) std::erase_if(out.options, is_ndots);
  if (std::none_of(out.options.begin(), out.options.end(), is_ndots)) out.options.emplace_back("ndots:0");
  return out;
}

std::string resolv_conf_file(const ResolvConf& contents) {
  std::string out;
  for (const std::string& server : contents.servers) {
    if (!kernel::IpAddress::try_parse(server))
      fail(ErrorKind::invalid_argument, "{} is not an ip address", printable(server, 80));
    out += "nameserver " + server + "\n";
  }
  add_line(out, "search", contents.search);
  add_line(out, "options", contents.options);
  return out;
}

}  // namespace bryo::network

#include "cli/options/port_spec.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/options/csv.hpp"
#include "cli/options/value_kind.hpp"

namespace bryo::cli {
namespace {

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

struct Range {
  int first = 0;
  int last = 0;
  int size() const { return last - first + 1; }
};

std::optional<Range> parse_range(std::string_view text) {
  const auto parts = split_once(text, '-');
  const auto first = parse_integer<std::uint16_t>(parts ? parts->first : text);
  const auto last = parts ? parse_integer<std::uint16_t>(parts->second) : first;
  if (!first || !last || *last < *first) return std::nullopt;
  return Range{*first, *last};
}

struct Parts {
  std::string ip;
  std::string host;
  std::string container;
};

// The last two fields are the ports; what stands before them, colons and all, is the address.
Parts split_parts(std::string_view text) {
  const auto container = text.rfind(':');
  if (container == std::string_view::npos) return {"", "", std::string(text)};
  const std::string_view front = text.substr(0, container);
  const auto host = front.rfind(':');
  if (host == std::string_view::npos) return {"", std::string(front), std::string(text.substr(container + 1))};
  return {std::string(front.substr(0, host)), std::string(front.substr(host + 1)),
          std::string(text.substr(container + 1))};
}

std::string checked_ip(std::string ip) {
  if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
  if (!ip.empty() && !is_ip_address(ip)) refuse("invalid IP address: " + printable(ip));
  return ip;
}

std::pair<std::string, std::string> split_protocol(std::string_view text) {
  const auto parts = split_once(text, '/');
  if (!parts || parts->second.empty()) return {std::string(parts ? parts->first : text), "tcp"};
  return {std::string(parts->first), to_lower(parts->second)};
}

void check_protocol(const std::string& protocol) {
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") refuse("invalid proto: " + printable(protocol));
}

std::vector<PortMapping> expand(const std::string& ip, const std::string& host, const std::string& container,
                                const std::string& protocol) {
  const auto inside = parse_range(container);
  if (!inside) refuse("invalid containerPort: " + printable(container));
  std::optional<Range> outside;
  if (!host.empty()) {
    outside = parse_range(host);
    if (!outside) refuse("invalid hostPort: " + printable(host));
    if (outside->size() != inside->size() && inside->size() != 1)
      refuse(fmt::format("invalid ranges specified for container and host Ports: {} and {}", container, host));
  }
  std::vector<PortMapping> out;
  for (int i = 0; i < inside->size(); ++i) {
    std::string port = outside ? std::to_string(outside->first + i) : "";
    // One port inside, several outside: the daemon chooses one of them.
    if (outside && inside->size() == 1 && outside->size() > 1) port += fmt::format("-{}", outside->last);
    out.push_back({fmt::format("{}/{}", inside->first + i, protocol), ip, port});
  }
  return out;
}

// published=8080,target=80,protocol=tcp,mode=ingress
std::vector<PortMapping> parse_long(const std::string& text) {
  std::string target;
  std::string published;
  std::string protocol = "tcp";
  for (const std::string& field : split_csv(text)) {
    const auto parts = split_once(field, '=');
    if (!parts || parts->second.empty()) refuse("invalid field: " + printable(field));
    const std::string key = to_lower(parts->first);
    const std::string value = to_lower(parts->second);
    if (key == "target")
      target = value;
    else if (key == "published")
      published = value;
    else if (key == "protocol")
      protocol = value;
    else if (key == "mode") {
      if (value != "ingress" && value != "host")
        refuse(fmt::format("invalid publish mode value ({}): must be either 'ingress' or 'host'", printable(value)));
    } else {
      refuse("invalid field key: " + printable(key));
    }
  }
  if (target.empty()) refuse("missing mandatory field 'target'");
  check_protocol(protocol);
  return expand("", published, target, protocol);
}

}  // namespace

std::vector<PortMapping> parse_publish(const std::string& text) {
  if (text.find('=') != std::string::npos) return parse_long(text);
  const Parts parts = split_parts(text);
  const auto [container, protocol] = split_protocol(parts.container);
  check_protocol(protocol);
  const std::string ip = checked_ip(parts.ip);
  if (container.empty()) refuse(fmt::format("no port specified: {}<empty>", printable(text)));
  return expand(ip, parts.host, container, protocol);
}

std::vector<std::string> parse_expose(const std::string& text) {
  if (text.find(':') != std::string::npos) refuse("invalid port format for --expose: " + printable(text));
  const auto [port, protocol] = split_protocol(text);
  const auto range = parse_range(port);
  if (!range)
    refuse(
        fmt::format("invalid range format for --expose: {}, error: strconv.ParseUint: parsing \"{}\": invalid syntax",
                    printable(text), printable(port)));
  check_protocol(protocol);
  std::vector<std::string> out;
  for (int i = range->first; i <= range->last; ++i) out.push_back(fmt::format("{}/{}", i, protocol));
  return out;
}

}  // namespace bryo::cli

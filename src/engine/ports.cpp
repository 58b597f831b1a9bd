#include "engine/ports.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::engine {
namespace {

[[noreturn]] void refuse(std::string_view text) {
  fail(ErrorKind::invalid_argument, "invalid port specification: \"{}\"", printable(text));
}

std::string key_of(const ContainerPort& port) {
  return fmt::format("{}/{}", port.number, network::to_string(port.protocol));
}

}  // namespace

std::pair<std::uint16_t, std::uint16_t> host_port_range(std::string_view text) {
  if (text.empty()) return {0, 0};
  const auto parts = split_once(text, '-');
  const auto first = parse_integer<std::uint16_t>(parts ? parts->first : text);
  const auto last = parts ? parse_integer<std::uint16_t>(parts->second) : first;
  if (!first || !last || *last < *first) refuse(text);
  return {*first, *last};
}

ContainerPort parse_port(std::string_view text) {
  const auto parts = split_once(text, '/');
  const auto number = parse_integer<std::uint16_t>(parts ? parts->first : text);
  if (!number || *number == 0) refuse(text);
  return {*number, network::parse_protocol(parts ? to_lower(parts->second) : std::string("tcp"))};
}

void parse_port_map(Record& record) {
  for (const auto& [text, nothing] : record.config.exposed_ports) parse_port(text);
  PortMap clean;
  for (const auto& [text, bindings] : record.host_config.port_bindings) {
    const auto key = key_of(parse_port(text));
    for (const PortBinding& binding : bindings) host_port_range(binding.host_port);
    clean[key] = bindings;
    record.config.exposed_ports[key];
  }
  record.host_config.port_bindings = std::move(clean);
}

std::vector<network::PortPublish> ports_to_publish(const Record& record, std::string_view default_host_ip) {
  std::vector<network::PortPublish> out;
  const auto add = [&](const ContainerPort& port, const PortBinding& binding) {
    const auto [first, last] = host_port_range(binding.host_port);
    out.push_back({port.number, port.protocol, binding.host_ip.empty() ? std::string(default_host_ip) : binding.host_ip,
                   first, last});
  };
  for (const auto& [key, bindings] : record.host_config.port_bindings)
    for (const PortBinding& binding : bindings) add(parse_port(key), binding);
  if (record.host_config.publish_all_ports)
    for (const auto& [key, nothing] : record.config.exposed_ports)
      if (!record.host_config.port_bindings.contains(key)) add(parse_port(key), {});
  return out;
}

std::vector<monitor::PortForward> forwards_of(std::vector<network::PublishedSocket> sockets) {
  std::vector<monitor::PortForward> out;
  for (auto& socket : sockets) {
    const bool udp = socket.protocol == network::Protocol::udp;
    out.push_back({udp ? monitor::ForwardProtocol::udp : monitor::ForwardProtocol::tcp, std::move(socket.fd),
                   std::move(socket.target_ip), socket.target_port, std::move(socket.other_target_ip),
                   socket.transparent});
  }
  return out;
}

std::vector<monitor::PortName> names_of(const std::vector<network::PublishedPort>& ports) {
  std::vector<monitor::PortName> out;
  for (const auto& port : ports) {
    const bool udp = port.protocol == network::to_string(network::Protocol::udp);
    out.push_back(
        {udp ? monitor::ForwardProtocol::udp : monitor::ForwardProtocol::tcp, port.host_ip, port.host_port});
  }
  return out;
}

std::map<std::string, std::optional<std::vector<PortBinding>>> port_view(
    const Record& record, const std::vector<network::PublishedPort>& ports) {
  std::map<std::string, std::optional<std::vector<PortBinding>>> out;
  for (const auto& [key, nothing] : record.config.exposed_ports) out[key_of(parse_port(key))];
  for (const auto& port : ports) {
    auto& bindings = out[fmt::format("{}/{}", port.container_port, port.protocol)];
    if (!bindings) bindings.emplace();
    bindings->push_back({port.host_ip, std::to_string(port.host_port)});
  }
  return out;
}

std::vector<PortSummary> port_summaries(const Record& record, const std::vector<network::PublishedPort>& ports) {
  std::vector<PortSummary> out;
  for (const auto& port : ports) out.push_back({port.host_ip, port.container_port, port.host_port, port.protocol});
  for (const auto& [key, nothing] : record.config.exposed_ports) {
    const ContainerPort port = parse_port(key);
    const bool published = std::any_of(ports.begin(), ports.end(), [&](const auto& p) {
      return p.container_port == port.number && p.protocol == network::to_string(port.protocol);
    });
    if (!published) out.push_back({"", port.number, 0, std::string(network::to_string(port.protocol))});
  }
  return out;
}

}  // namespace bryo::engine

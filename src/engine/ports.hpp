// Which ports does a container expose, and which are published where? Docker's PortBindings against what the network
// takes.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/container.hpp"
#include "monitor/types.hpp"

namespace bryo::engine {

struct ContainerPort {
  std::uint16_t number = 0;
  network::Protocol protocol = network::Protocol::tcp;
};
// "80", "80/udp"; Error{invalid_argument} "invalid port specification".
ContainerPort parse_port(std::string_view text);

// "", "8080" or "8000-8010"; {0, 0} for "".
std::pair<std::uint16_t, std::uint16_t> host_port_range(std::string_view text);

// Checks every binding of a new record and exposes what is published. Throws as above.
void parse_port_map(Record& record);
// What to ask of the network: bindings, and with publish_all_ports every exposed port that has none.
std::vector<network::PortPublish> ports_to_publish(const Record& record, std::string_view default_host_ip);
// For the container's monitor.
std::vector<monitor::PortForward> forwards_of(std::vector<network::PublishedSocket> sockets);
std::vector<monitor::PortName> names_of(const std::vector<network::PublishedPort>& ports);
// NetworkSettings.Ports
std::map<std::string, std::optional<std::vector<PortBinding>>> port_view(
    const Record& record, const std::vector<network::PublishedPort>& ports);
std::vector<PortSummary> port_summaries(const Record& record, const std::vector<network::PublishedPort>& ports);

}  // namespace bryo::engine

#include "engine/port_uses.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "engine/port_changes.hpp"
#include "engine/ports.hpp"

namespace bryo::engine {
namespace {

void check_can_publish(const Record& record) {
  const std::string& mode = record.host_config.network_mode;
  const auto refuse = [&](std::string_view why) {
    fail(ErrorKind::conflict, "cannot publish ports of container {}: {}", record.name, why);
  };
  if (mode == "host") refuse("it is in the host's network, where its ports are open already");
  if (mode.starts_with("container:")) refuse("it shares the network of another container; publish them there");
  if (record.config.network_disabled || mode == "none") refuse("it has no network");
}

std::string text_of(const std::vector<network::PublishedPort>& ports) {
  std::string out;
  for (const auto& port : ports)
    out += fmt::format("{}{}:{}->{}/{}", out.empty() ? "" : ", ", port.host_ip, port.host_port, port.container_port,
                       port.protocol);
  return out;
}

std::string text_of(const PortMap& ports) {
  std::string out;
  for (const auto& [key, bindings] : ports)
    for (const PortBinding& binding : bindings)
      out += fmt::format("{}{}:{}->{}", out.empty() ? "" : ", ", binding.host_ip, binding.host_port, key);
  return out;
}

void withdraw(Services& services, const std::shared_ptr<monitor::Monitor>& monitor, const std::string& id,
              const std::vector<network::PublishedPort>& ports) {
  services.networks.unpublish(id, ports);
  try {
    if (monitor) monitor->remove_ports(names_of(ports));
  } catch (const Error& error) {
    log::debug("container {}: its sockets end with it: {}", id, error.message());
  }
}

}  // namespace

struct PortUses::Running {
  std::shared_ptr<monitor::Monitor> monitor;
  network::Endpoint endpoint;  // empty endpoint_id: none that can publish
  std::vector<network::PublishedPort> ports;
};

std::optional<PortUses::Running> PortUses::running(const Container& container) const {
  std::lock_guard lock(container.mutex);
  if (!container.is_up() || !container.monitor) return std::nullopt;
  Running out{container.monitor, {}, container.ports};
  // Where the others are; the endpoint with the default route may have changed since.
  const auto with_ports = std::find_if(container.endpoints.begin(), container.endpoints.end(), [&](const auto& each) {
    return !out.ports.empty() &&
           (each.ip_address == out.ports.front().target_ip || each.ipv6_address == out.ports.front().target_ip);
  });
  const auto gateway = s_.networks.gateway_endpoint(container.endpoints);
  if (with_ports != container.endpoints.end())
    out.endpoint = *with_ports;
  else if (gateway != network::NetworkManager::npos)
    out.endpoint = container.endpoints[gateway];
  return out;
}

network::PublishResult PortUses::publish(const Running& running, const Record& record, const PortMap& wanted) {
  Record asked;
  asked.host_config.port_bindings = wanted;
  network::PublishResult result;
  if (!running.endpoint.endpoint_id.empty())
    result = s_.networks.publish(record.id, running.endpoint, ports_to_publish(asked, s_.options.default_publish_ip));
  if (result.ports.empty())
    fail(ErrorKind::conflict, "cannot publish ports of container {}: it is in no network with a way out", record.name);
  try {
    running.monitor->add_ports(forwards_of(std::move(result.sockets)));
  } catch (...) {
    withdraw(running, record.id, result.ports);
    throw;
  }
  return result;
}

void PortUses::withdraw(const Running& running, const std::string& id,
                        const std::vector<network::PublishedPort>& ports) {
  engine::withdraw(s_, running.monitor, id, ports);
}

PortView PortUses::add(const ContainerPtr& container, const PortMap& wanted) {
  std::lock_guard operation(container->operation);
  const PortMap clean = clean_port_map(wanted);
  if (clean.empty()) fail(ErrorKind::invalid_argument, "no ports to publish were given");
  Record record;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
  }
  check_can_publish(record);
  const auto run = running(*container);
  std::vector<network::PublishedPort> added;
  if (run) added = publish(*run, record, clean).ports;
  PortView view;
  bool up = false;
  {
    std::lock_guard lock(container->mutex);
    up = run && container->monitor == run->monitor;
    add_bindings(container->record.host_config.port_bindings, clean);
    if (up) container->ports.insert(container->ports.end(), added.begin(), added.end());
    record = container->record;
    view = port_view(record, container->ports);
  }
  if (run && !up) withdraw(*run, record.id, added);  // it has ended meanwhile
  s_.save(record);
  if (up) lifecycle_.launcher().remember_network(*container);
  s_.publish(record, "port_add", {{"ports", up ? text_of(added) : text_of(clean)}});
  return view;
}

PortView PortUses::remove(const ContainerPtr& container, const PortMap& wanted) {
  std::lock_guard operation(container->operation);
  if (wanted.empty()) fail(ErrorKind::invalid_argument, "no ports to withdraw were given");
  Record record;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
  }
  const auto run = running(*container);
  PortRemoval removal = resolve_removal(record, run ? run->ports : std::vector<network::PublishedPort>{}, wanted);
  PortView view;
  {
    std::lock_guard lock(container->mutex);
    container->record.host_config.port_bindings = std::move(removal.bindings);
    std::erase_if(container->ports, [&](const auto& port) {
      return std::find(removal.ports.begin(), removal.ports.end(), port) != removal.ports.end();
    });
    record = container->record;
    view = port_view(record, container->ports);
  }
  s_.save(record);
  if (run) {
    withdraw(*run, record.id, removal.ports);
    lifecycle_.launcher().remember_network(*container);
  }
  s_.publish(record, "port_rm", {{"ports", run ? text_of(removal.ports) : text_of(wanted)}});
  return view;
}

std::vector<network::PublishedPort> withdraw_ports(Services& services, Container& container,
                                                   const network::Endpoint& endpoint) {
  std::vector<network::PublishedPort> gone;
  std::shared_ptr<monitor::Monitor> monitor;
  std::string id;
  {
    std::lock_guard lock(container.mutex);
    id = container.record.id;
    monitor = container.monitor;
    std::erase_if(container.ports, [&](const network::PublishedPort& port) {
      if (port.target_ip != endpoint.ip_address && port.target_ip != endpoint.ipv6_address) return false;
      gone.push_back(port);
      return true;
    });
  }
  if (!gone.empty()) withdraw(services, monitor, id, gone);
  return gone;
}

std::vector<network::PortPublish> same_ports(const std::vector<network::PublishedPort>& ports) {
  std::vector<network::PortPublish> out;
  for (const network::PublishedPort& port : ports)
    out.push_back({port.container_port, network::parse_protocol(port.protocol), port.host_ip, port.host_port, 0});
  return out;
}

void publish_ports(Services& services, Container& container, const network::Endpoint& endpoint,
                   const std::vector<network::PortPublish>& ports) {
  std::shared_ptr<monitor::Monitor> monitor;
  std::string id;
  {
    std::lock_guard lock(container.mutex);
    id = container.record.id;
    monitor = container.monitor;
  }
  for (const network::PortPublish& port : ports) {
    try {
      auto result = services.networks.publish(id, endpoint, {port});
      try {
        if (monitor) monitor->add_ports(forwards_of(std::move(result.sockets)));
      } catch (...) {
        withdraw(services, monitor, id, result.ports);
        throw;
      }
      std::lock_guard lock(container.mutex);
      container.ports.insert(container.ports.end(), result.ports.begin(), result.ports.end());
    } catch (const Error& error) {
      log::warning("container {}: its port {} is not published at its new network: {}", id, port.container_port,
                   error.message());
    }
  }
}

}  // namespace bryo::engine

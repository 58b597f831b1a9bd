// Ports that are published or withdrawn after a container was created, running or not: bryo port add, bryo port rm.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/lifecycle.hpp"

namespace bryo::engine {

using PortView = std::map<std::string, std::optional<std::vector<PortBinding>>>;

// For a container whose networks change while it runs; whoever calls holds its `operation`.
// Withdraws the ports that lead to this endpoint, whose address is about to be somebody else's, and returns them.
std::vector<network::PublishedPort> withdraw_ports(Services& services, Container& container,
                                                   const network::Endpoint& endpoint);
// Publishes these at this endpoint. Ports that cannot be had are logged and left out.
void publish_ports(Services& services, Container& container, const network::Endpoint& endpoint,
                   const std::vector<network::PortPublish>& ports);
// As they were.
std::vector<network::PortPublish> same_ports(const std::vector<network::PublishedPort>& ports);

class PortUses {
 public:
  PortUses(Services& services, Lifecycle& lifecycle) : s_(services), lifecycle_(lifecycle) {}

  // Kept in the record: they are there after the next start, too. All or nothing. Return what NetworkSettings.Ports is
  // then.
  PortView add(const ContainerPtr& container, const PortMap& wanted);
  // Connections that are open go on.
  PortView remove(const ContainerPtr& container, const PortMap& wanted);

 private:
  struct Running;
  // nullopt when the container does not run.
  std::optional<Running> running(const Container& container) const;
  network::PublishResult publish(const Running& running, const Record& record, const PortMap& wanted);
  void withdraw(const Running& running, const std::string& id, const std::vector<network::PublishedPort>& ports);

  Services& s_;
  Lifecycle& lifecycle_;
};

}  // namespace bryo::engine

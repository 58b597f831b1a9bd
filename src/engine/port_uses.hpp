// Ports that are published or withdrawn after a container was created, running or not: bryo port add, bryo port rm.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/lifecycle.hpp"

namespace bryo::engine {

using PortView = std::map<std::string, std::optional<std::vector<PortBinding>>>;

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

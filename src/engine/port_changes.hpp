// Adding to and removing from the ports that a container publishes, as values: which bindings of its record, and which
// of its published ports, does a request name? Pure.
#pragma once

#include <vector>

#include "engine/container.hpp"

namespace bryo::engine {

struct PortRemoval {
  PortMap bindings;                           // those that stay
  std::vector<network::PublishedPort> ports;  // those that go; none when the container does not run
};

// `wanted`: as PortBindings; "" for an address or a host port means any, and an empty list every binding of that
// container port. Throws not_found when one names nothing, conflict when it names a part of a binding (one of its
// addresses), or what --publish-all has published.
PortRemoval resolve_removal(const Record& record, const std::vector<network::PublishedPort>& published,
                            const PortMap& wanted);

// Checks a request; its keys as records have them ("80" becomes "80/tcp"). Throws as parse_port.
PortMap clean_port_map(const PortMap& wanted);
// `more` after what is there.
void add_bindings(PortMap& bindings, const PortMap& more);

}  // namespace bryo::engine

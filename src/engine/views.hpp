// Containers as clients see them: inspect, ps, and the words in ps's STATUS column.
#pragma once

#include "engine/services.hpp"
#include "engine/types/requests.hpp"

namespace bryo::engine {

ContainerState state_view(const Container& container);  // the caller holds its mutex
NetworkSettings network_view(const Container& container, const network::NetworkManager& networks);  // likewise
ContainerInspect inspect_view(Services& services, const ContainerPtr& container, bool size);
std::vector<ContainerSummary> list_view(Services& services, const ListRequest& request);

// "4 seconds", "About a minute", "2 hours": Docker's units.
std::string human_duration(std::chrono::seconds duration);
// "Up 4 seconds (healthy)", "Exited (0) 2 minutes ago", "Created". The caller holds its mutex.
std::string status_text(const Container& container, WallTime now);

}  // namespace bryo::engine

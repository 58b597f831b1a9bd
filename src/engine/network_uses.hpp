// Networks as use cases: docker network ls, inspect, create, rm, connect, disconnect, prune.
#pragma once

#include "engine/lifecycle.hpp"

namespace bryo::engine {

class NetworkUses {
 public:
  NetworkUses(Services& services, Lifecycle& lifecycle) : s_(services), lifecycle_(lifecycle) {}

  json::Value list(const Filters& filters);
  json::Value inspect(std::string_view ref, std::string_view scope);
  json::Value create(const NetworkCreateRequest& request);
  void remove(std::string_view ref);
  void connect(std::string_view network, const ContainerPtr& container, const EndpointSettings& settings);
  void disconnect(std::string_view network, const ContainerPtr& container);
  json::Value prune(const Filters& filters);

 private:
  bool matches(const network::NetworkConfig& config, const Filters& filters) const;
  void connect_live(Container& container, const network::NetworkConfig& config, const EndpointSettings& settings);
  json::Value view(const network::NetworkConfig& config, bool with_containers) const;

  Services& s_;
  Lifecycle& lifecycle_;
};

}  // namespace bryo::engine

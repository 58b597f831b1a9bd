// What NetworkManager is made of. Two locks, always taken in this order: `topology` (one creation or removal of a
// network at a time; held across kernel calls) and `mutex` (the tables; held for moments).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/worker_pool.hpp"
#include "network/bridge.hpp"
#include "network/dns_names.hpp"
#include "network/dns_server.hpp"
#include "network/firewall.hpp"
#include "network/forwarding.hpp"
#include "network/host_resolvers.hpp"
#include "network/host_sockets.hpp"
#include "network/manager.hpp"
#include "network/network_table.hpp"
#include "network/port_table.hpp"

namespace bryo::network {

struct NetworkManager::Impl {
  struct Published {
    std::vector<Translation> translations;
    std::vector<PublishedPort> ports;
  };

  Impl(NetworkOptions from, Persistence& persistence);

  // Stored networks and the predefined ones.
  void load();
  void plan_default_bridge();
  void plan_bypass();
  void restore_endpoints(const std::vector<RunningContainer>& running);
  void restore_bridges(const std::vector<RunningContainer>& running);
  void restore_dns(const std::vector<RunningContainer>& running);

  // Kernel side of one bridge network: rules first, then the link (isolation before traffic).
  void set_up(const std::string& network_id);
  void take_down(const std::string& bridge);
  BridgeRules rules_of(const NetworkState& network) const;
  BridgePlan plan_of(const NetworkState& network) const;

  void announce(const Endpoint& endpoint);  // to the DNS server
  // Remembers, under `mutex`, whose port an address leads to until it is given out again.
  void retire(const Endpoint& endpoint);
  std::vector<std::string> retired_ports(const Endpoint& endpoint);
  // Forgets UDP flows through these ports that lead to the target, or elsewhere.
  enum class Flows { to_target, elsewhere };
  void forget_flows(const std::vector<Translation>& translations, Flows which);
  std::vector<kernel::IpAddress> publish_hosts(const PortPublish& request) const;
  // One publication: its ports, sockets and translations are added to what is there.
  void publish_one(std::string_view owner, const Endpoint& endpoint, const PortPublish& request, PublishResult& result,
                   std::vector<Translation>& translations);
  // A rootless engine's containers reach published ports by addresses of our own namespace, too.
  bool add_inner_socket(const PublishedSocket& outer, PublishResult& result) const;
  // publish_one() and the same in options.outer_ports. Where the engine chooses the port and somebody out there has it,
  // another one is taken.
  void publish_outside_too(std::string_view owner, const Endpoint& endpoint, const PortPublish& request,
                           PublishResult& result, std::vector<Translation>& translations);
  // Not their sockets, which end with the caller's result.
  void release_ports(const std::vector<PublishedPort>& given);
  void withdraw(const std::vector<Translation>& translations);
  void warn(std::string text);

  const NetworkOptions options;
  Persistence& store;
  std::mutex topology;
  mutable std::mutex mutex;
  NetworkTable table;
  std::map<std::string, Published, std::less<>> published;             // by container
  std::map<std::pair<std::string, std::string>, std::string> retired;  // network id and address: port
  std::vector<std::string> warnings;
  Forwarding forwarding;
  const HostSockets host_sockets;
  PortTable ports;
  DnsNames names;
  HostResolvers resolvers;
  DnsServer dns;
  BridgeDriver bridges;
  std::unique_ptr<Firewall> firewall;  // none with --iptables=false
  WorkerPool background{1};
};

}  // namespace bryo::network

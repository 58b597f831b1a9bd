// Which networks exist, who has which address in them, and which host ports lead where? The one door to this module.
//
// Life of an engine:    NetworkManager m(options, persistence);  m.restore({…});  …  m.shutdown();
// Life of a container:  e = reserve(network, request)          addresses are taken; nothing in the kernel yet
//                       p = publish(container, e, ports)       ports are taken and translated; sockets for the monitor
//                       attach(e, netns, 0, true)              between the clone of the container and its exec
//                       serve_dns(container, netns, settings)  once, when needs_dns(): after the attaches
//                       … it runs: connect = reserve + attach, disconnect = detach + release …
//                       release_container(container)           after its death: ports, names, addresses
//
// Threads: every method may be called from any thread; calls for different containers run in parallel except for short
// locks. attach, detach and serve_dns visit the container's network namespace with the calling thread and come back
// before they return (if coming back were impossible, the process ends: a thread in the wrong namespace is worse).
// Errors: Error with Docker's texts and kinds. A method that throws has undone what it did.
// The kernel side outlives the object: the destructor leaves bridges, table and containers alone (kill -9 is the normal
// way to stop); shutdown() removes them.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "network/config.hpp"
#include "network/endpoint.hpp"
#include "network/options.hpp"
#include "network/persistence.hpp"
#include "network/ports.hpp"

namespace bryo::network {

// --dns, --dns-search, --dns-option of a container; empty means the host's.
struct DnsSettings {
  std::vector<std::string> servers;
  std::vector<std::string> search;
  std::vector<std::string> options;
};

// A container that is still running after a restart of the engine.
struct RunningContainer {
  std::string container_id;
  UniqueFd netns;  // its network namespace (/proc/PID/ns/net), for the DNS server; may be empty
  std::vector<Endpoint> endpoints;
  std::vector<PublishedPort> ports;
  DnsSettings dns;
};

struct CreatedNetwork {
  NetworkConfig config;
  std::string warning;  // for the API's Warning field; empty when there is none
};

class NetworkManager {
 public:
  // Reads the stored networks and makes the predefined ones known. Touches nothing in the kernel.
  NetworkManager(NetworkOptions options, Persistence& persistence);
  ~NetworkManager();
  NetworkManager(const NetworkManager&) = delete;
  NetworkManager& operator=(const NetworkManager&) = delete;

  // Brings the kernel in line with what is stored and running: makes or adopts bridges, replaces the table in one
  // transaction (no connection is interrupted), removes leftovers of an earlier life, takes over DNS. Exactly once,
  // before anything below.
  void restore(std::vector<RunningContainer> running);
  // Removes bridges and table, and switches forwarding off again if we had switched it on, when no container has an
  // endpoint; otherwise leaves all as it is (live restore).
  void shutdown();

  CreatedNetwork create(const NetworkCreate& request);
  // By name, id or unique prefix of an id. Throws conflict while containers are in it.
  void remove(std::string_view reference);
  std::vector<NetworkConfig> list() const;
  NetworkConfig find(std::string_view reference) const;
  bool exists(std::string_view reference) const;
  // Reserved or attached endpoints of a network, by container id.
  std::vector<EndpointSummary> endpoints(std::string_view network_id) const;

  Endpoint reserve(std::string_view network, const EndpointRequest& request);
  // Names the interface eth<index>; fills endpoint.interface_name. For host networks nothing happens, for none the
  // loopback interface comes up (as with every attach).
  void attach(Endpoint& endpoint, int netns_fd, unsigned index, bool default_gateway);
  // Removes the interface from a live container. The endpoint stays reserved: release it next.
  void detach(const Endpoint& endpoint, int netns_fd);
  // BridgeDriver::move_device.
  void move_device(const std::string& host_name, const std::string& name, int netns_fd);
  // Makes another of a container's endpoints its way out (after a disconnect took the first).
  void set_default_gateway(const Endpoint& endpoint, int netns_fd);
  // Gives the addresses back and forgets the names. Nothing to do for the veth: it died with its namespace.
  // Unknown endpoints are ignored: releasing twice is no error.
  void release(const Endpoint& endpoint);
  // The new name of a container (rename), in every network that it is in. Returns its endpoints with new names.
  std::vector<Endpoint> rename(std::string_view container_id, std::string_view new_name);

  // All or nothing, in addition to what the container has published already. The endpoint is the one that gives it its
  // default gateway.
  PublishResult publish(std::string_view container_id, const Endpoint& endpoint, const std::vector<PortPublish>& ports);
  // These ports of the container. Open connections go on. The monitor closes its sockets itself.
  void unpublish(std::string_view container_id, const std::vector<PublishedPort>& ports);
  // Every port of the container; unknown containers are ignored.
  void unpublish(std::string_view container_id);

  // True when one of these is in a network with names: then resolv.conf names 127.0.0.11 and serve_dns must be called.
  bool needs_dns(const std::vector<Endpoint>& endpoints) const;
  void serve_dns(std::string_view container_id, int netns_fd, const DnsSettings& settings);
  // unpublish, end of DNS, and release of everything that the container still has.
  void release_container(std::string_view container_id);

  // Index of the endpoint that gets the default route and the published ports: the first in Docker's order (not
  // internal, then by network name); npos when none has a gateway.
  std::size_t gateway_endpoint(const std::vector<Endpoint>& endpoints) const;
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
  // What "host-gateway" means in --add-host: NetworkOptions::host_address, or the default bridge's address.
  std::string host_gateway() const;
  // The file of a container: see resolv_conf.hpp. `with_dns` = needs_dns().
  std::string resolv_conf(const DnsSettings& settings, bool with_dns) const;
  // For containers in the host's network: the host's servers as they are, unless `settings` says otherwise.
  std::string host_resolv_conf(const DnsSettings& settings) const;
  // Links of the default bridge live in /etc/hosts: address of a container by name or id, empty when it has none.
  std::string address_of(std::string_view network_id, std::string_view container) const;
  // Remarks on the host for `info` and the log (forward policy of other tables, forwarding switched on …).
  std::vector<std::string> warnings() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::network

// The embedded DNS server: one thread in bryod answers for every container that is in a network with names, at
// 127.0.0.11 inside the container's own network namespace (UDP and TCP).
//
// The sockets have ports of the kernel's choice, and two stateless rewriting rules per protocol in the container's
// namespace stand in for port 53: so port 53 stays free for the container's own programs, and no connection tracking is
// switched on there. Where the kernel refuses the rules, port 53 of 127.0.0.11 itself is used.
//
// Holds the namespaces that it serves: stop() lets a dead container's namespace go. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "network/dns_names.hpp"
#include "network/host_resolvers.hpp"

namespace bryo::network {

class DnsServer {
 public:
  DnsServer(const DnsNames& names, const HostResolvers& resolvers);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // The loopback interface must be up. Serving the same container again replaces the earlier session.
  void serve(const std::string& container_id, int netns_fd, const std::vector<std::string>& servers);
  void stop(const std::string& container_id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bryo::network

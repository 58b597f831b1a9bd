// Who is called what, seen from which container? The names of all endpoints, by network: container name, aliases, short
// id, host name; links count for the container that has them. A container sees the networks that it is in, no others.
// Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sockets_address.hpp"
#include "network/endpoint.hpp"

namespace bryo::network {

class DnsNames {
 public:
  struct Found {
    bool known = false;  // the name exists, perhaps without an address of this family
    std::vector<kernel::IpAddress> addresses;
  };

  // `open`: the network leads out, so queries may be forwarded.
  void add(const Endpoint& endpoint, bool open);
  void remove(const std::string& endpoint_id);
  // Name in any case, without the final dot. Networks in the order of their names; "name.network" works too.
  Found resolve(const std::string& container_id, std::string_view name, kernel::Family family) const;
  // "name.network" of an address; nullopt when it is nobody's in the container's networks.
  std::optional<std::string> reverse(const std::string& container_id, const kernel::IpAddress& address) const;
  // False for a container that is in internal networks only (CVE-2024-29018), and for unknown ones.
  bool leads_out(const std::string& container_id) const;

 private:
  struct Entry {
    Endpoint endpoint;
    bool open = false;
    std::vector<std::string> names;            // lower case
    std::map<std::string, std::string> links;  // alias → container name or id, lower case
    kernel::IpAddress v4;
    kernel::IpAddress v6;
  };

  std::vector<const Entry*> entries_of(const std::string& container_id) const;
  Found in_network(const Entry& viewer, std::string_view name, kernel::Family family) const;
  Found in_networks(const std::vector<const Entry*>& viewers, std::string_view name, kernel::Family family) const;

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;                                           // by endpoint id
  std::map<std::string, std::map<std::string, std::vector<const Entry*>>> names_;  // network id → name → who
  std::map<std::string, std::map<std::string, const Entry*>> containers_;  // container id → network name → entry
};

}  // namespace bryo::network

// The kernel side of bridge networks: bridges in the host's namespace, veth pairs into containers. No state of its own
// beyond what the kernel shows, no decisions about addresses. Thread-safe; acts in the network namespace in which it
// was made.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/netlink_links.hpp"
#include "kernel/sockets_address.hpp"
#include "network/endpoint.hpp"

namespace bryo::network {

struct BridgePlan {
  std::string network_id;
  std::string name;                         // of the interface
  int mtu = 0;                              // 0: the kernel's
  std::vector<kernel::IpPrefix> addresses;  // the host's own, with the subnet's length; empty for none
  bool ipv6 = false;
};

struct AttachPlan {
  std::string host_interface;
  std::string interface;  // inside: "eth0"
  int bridge = 0;
  std::string bridge_name;
  bool isolated = false;
  int mtu = 0;
  kernel::MacAddress mac{};
  std::vector<kernel::IpPrefix> addresses;
  std::vector<InterfaceSetting> settings;
  std::vector<kernel::IpAddress> gateways;  // default routes; empty: no way out
  // Ports of ended containers that had these addresses: the kernel removes them in its own time, and until then frames
  // for the addresses would still go there.
  std::vector<std::string> retired_ports;
};

class BridgeDriver {
 public:
  // `tag` marks our bridges in the kernel (their alias is "<tag> network <id>").
  explicit BridgeDriver(std::string tag);

  // Makes the bridge, or adopts one that is there; returns its index. A bridge without alias is the administrator's:
  // used as it is. Throws conflict when the interface is somebody else's.
  int ensure(const BridgePlan& plan);
  // IPv4 address of a bridge that the administrator made (dockerd's --bridge); nullopt when there is none.
  std::optional<kernel::IpPrefix> foreign_address(const std::string& name);
  // Only if it is ours.
  void remove(const std::string& name);
  // Bridges of ours whose network is not in `network_ids`, and ports of `bridges` that are not in `ports`, go.
  void remove_leftovers(const std::vector<std::string>& network_ids, const std::vector<std::string>& ports);
  // A port of a running container that lost its bridge comes back into it.
  void adopt_port(const std::string& host_interface, const std::string& bridge);

  void attach(const AttachPlan& plan, int netns_fd);
  void detach(const std::string& interface, int netns_fd);
  // A device of the host's into a container for good: under its new name, up, with the addresses that were given to it
  // (not those of a DHCP server or the kernel). The kernel gives hardware back when the namespace is gone, and removes
  // what is virtual. Error{not_found} when the host has none.
  void move_device(const std::string& host_name, const std::string& name, int netns_fd);
  void set_default_routes(const std::string& interface, const std::vector<kernel::IpAddress>& gateways, int netns_fd);
  // Brings up lo; for containers with no network at all.
  static void loopback_up(int netns_fd);
  // Subnets that the host reaches by itself.
  std::vector<kernel::IpPrefix> host_routes();

 private:
  // Netlink sockets of the host's namespace, kept for the next call.
  class Lease;
  std::unique_ptr<kernel::NetlinkSocket> take_socket();
  void keep_socket(std::unique_ptr<kernel::NetlinkSocket> socket);
  std::string alias_of(std::string_view network_id) const;
  bool is_ours(std::string_view alias) const;

  const std::string tag_;
  const bool has_ipv6_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<kernel::NetlinkSocket>> sockets_;
};

}  // namespace bryo::network

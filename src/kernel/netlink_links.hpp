// Interfaces, addresses and routes (rtnetlink(7)) as typed calls over a NetlinkSocket(NETLINK_ROUTE): each acts in the
// network namespace of its socket. Errors as in netlink.hpp; names of interfaces are at most 15 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/netlink.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::kernel {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;   // "bridge", "veth", …; empty for hardware
  std::string alias;  // IFLA_IFALIAS
  int master = 0;
  unsigned flags = 0;        // IFF_UP …
  bool operational = false;  // frames pass (operstate "up")
  int mtu = 0;
};

struct BridgeSpec {
  std::string name;
  std::string alias;
  MacAddress mac{};  // given, so that it does not follow the ports
  int mtu = 0;
};

struct VethSpec {
  std::string host_name;
  int bridge = 0;            // index of the master
  bool isolated = false;     // no frames from or to other isolated ports (icc=false)
  bool silence_ipv6 = true;  // no IPv6 address on the host's end; false where the kernel has no IPv6
  std::string peer_name;
  int peer_netns = -1;
  MacAddress peer_mac{};
  int mtu = 0;
};

std::optional<Link> find_link(NetlinkSocket& socket, const std::string& name);
// A link that has just got its carrier passes no frames until the kernel's own worker has been there, a moment later:
// what is sent before is lost. Waits for that; since Linux 6.9 asking is enough. false after `patience` tries, 0.1 ms
// apart.
bool wait_operational(NetlinkSocket& socket, const std::string& name, int patience);
// kind "" = every link.
std::vector<Link> list_links(NetlinkSocket& socket, std::string_view kind);
// Down, no address yet.
void create_bridge(NetlinkSocket& socket, const BridgeSpec& spec);
// The host's end is born in the bridge and up; the peer is born in its namespace, down.
void create_veth(NetlinkSocket& socket, const VethSpec& spec);
// One that is gone already is no error.
void delete_link(NetlinkSocket& socket, int index);

// A port whose container has ended, before its namespace is gone: takes no frames any more, and no address leads to it.
// One that is gone or down already is no error.
void silence_bridge_port(NetlinkSocket& socket, const std::string& name);

// Several changes sent in one go; see NetlinkSocket::execute for what happens when one fails.
class LinkChanges {
 public:
  LinkChanges& up(int index);
  LinkChanges& down(int index);
  LinkChanges& mtu(int index, int mtu);
  LinkChanges& master(int index, int bridge);
  LinkChanges& alias(int index, const std::string& text);
  // Into another namespace, down and without addresses; its index may change. With a name: it gets that one there.
  LinkChanges& to_netns(int index, int netns_fd, const std::string& name = {});
  // Usable at once: IPv6 duplicate address detection is skipped.
  LinkChanges& add_address(int index, const IpPrefix& address);
  LinkChanges& remove_address(int index, const IpPrefix& address);
  // Replaces an existing default route of the same metric.
  LinkChanges& default_route(int index, const IpAddress& gateway);
  LinkChanges& route(int index, const IpPrefix& destination);
  void execute(NetlinkSocket& socket, std::string_view what);

 private:
  void link_flags(int index, unsigned flags, unsigned mask);
  void address(std::uint16_t type, unsigned flags, int index, const IpPrefix& address);
  NetlinkBatch batch_;
};

struct LinkAddress {
  int index = 0;
  IpPrefix address;
  bool link_local = false;
  bool permanent = false;  // nobody will take it away after a time
};
std::vector<LinkAddress> list_addresses(NetlinkSocket& socket);

// Destinations in the main and local tables of unicast routes; default routes are left out.
std::vector<IpPrefix> list_routes(NetlinkSocket& socket);

}  // namespace bryo::kernel

#include "network/bridge.hpp"

#include <linux/if.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "kernel/netns.hpp"

namespace bryo::network {

using kernel::IpAddress;
using kernel::IpPrefix;
using kernel::LinkChanges;
using kernel::NetlinkSocket;

namespace {

constexpr std::string_view kVethPrefix = "veth";
constexpr std::string_view kLinkLocal = "fe80::1/64";  // of every IPv6 bridge, as Docker's
constexpr int kPatience = 500;                         // tenths of a millisecond
constexpr std::size_t kKeptSockets = 2;                // more are needed only while many containers start at once
constexpr int kLoopbackIndex = 1;                      // of every network namespace (net/core/dev.c)

// 02:42 and bytes of the network's id: the same after a restart, so that neighbours need not learn anew.
kernel::MacAddress bridge_mac(std::string_view network_id) {
  kernel::MacAddress mac{0x02, 0x42};
  for (std::size_t i = 2; i < mac.size() && i * 2 + 2 <= network_id.size(); ++i)
    std::from_chars(network_id.data() + i * 2, network_id.data() + i * 2 + 2, mac[i], 16);
  return mac;
}

// Network off means addresses, link-local ones and router advertisements off (CVE-2024-32473, CVE-2020-13401). Before
// the interface comes up.
void set_ipv6(const std::string& interface, bool on) {
  const std::string base = "ipv6/conf/" + interface + "/";
  if (!on) {
    kernel::set_net_sysctl(base + "disable_ipv6", "1");
    return;
  }
  kernel::set_net_sysctl(base + "disable_ipv6", "0");
  kernel::set_net_sysctl(base + "accept_ra", "0");
  // The addresses are ours alone, and a link-local one that is still being tried (for a second or two) answers nobody.
  kernel::set_net_sysctl(base + "accept_dad", "0");
}

bool has_v6(const std::vector<IpPrefix>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(), [](const IpPrefix& p) { return p.address().is_v6(); });
}

// What an earlier life, with other settings, has left on the bridge.
void remove_other_addresses(NetlinkSocket& socket, int index, const std::vector<IpPrefix>& wanted,
                            LinkChanges& changes) {
  for (const kernel::LinkAddress& old : kernel::list_addresses(socket)) {
    if (old.index != index || old.link_local) continue;
    if (std::find(wanted.begin(), wanted.end(), old.address) == wanted.end())
      changes.remove_address(old.index, old.address);
  }
}

void apply(const std::vector<InterfaceSetting>& settings, const std::string& interface) {
  for (const InterfaceSetting& setting : settings) {
    const std::string name = setting.place + "/" + interface + "/" + setting.name;
    if (!kernel::set_net_sysctl(name, setting.value))
      fail(ErrorKind::invalid_argument, "endpoint sysctl net/{}: the kernel has no such setting", printable(name));
  }
}

void set_up_inside(const AttachPlan& plan, int netns_fd) {
  const kernel::NetnsVisit visit(netns_fd);
  NetlinkSocket inside(NETLINK_ROUTE);
  const auto link = kernel::find_link(inside, plan.interface);
  if (!link) fail(ErrorKind::unavailable, "interface {} vanished", plan.interface);
  set_ipv6(plan.interface, has_v6(plan.addresses));
  apply(plan.settings, plan.interface);
  LinkChanges changes;
  changes.up(kLoopbackIndex).up(link->index);
  for (const IpPrefix& address : plan.addresses) changes.add_address(link->index, address);
  for (const IpAddress& gateway : plan.gateways) changes.default_route(link->index, gateway);
  changes.execute(inside, "set up " + plan.interface + " in the container");
}

}  // namespace

class BridgeDriver::Lease {
 public:
  explicit Lease(BridgeDriver& driver) : driver_(driver), socket_(driver.take_socket()) {}
  ~Lease() { driver_.keep_socket(std::move(socket_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  NetlinkSocket& operator*() { return *socket_; }

 private:
  BridgeDriver& driver_;
  std::unique_ptr<NetlinkSocket> socket_;
};

BridgeDriver::BridgeDriver(std::string tag)
    : tag_(std::move(tag)), has_ipv6_(!kernel::get_net_sysctl("ipv6/conf/all/disable_ipv6").empty()) {}

std::unique_ptr<NetlinkSocket> BridgeDriver::take_socket() {
  {
    const std::lock_guard lock(mutex_);
    if (!sockets_.empty()) {
      auto socket = std::move(sockets_.back());
      sockets_.pop_back();
      return socket;
    }
  }
  return std::make_unique<NetlinkSocket>(NETLINK_ROUTE);
}

void BridgeDriver::keep_socket(std::unique_ptr<NetlinkSocket> socket) {
  const std::lock_guard lock(mutex_);
  if (sockets_.size() < kKeptSockets) sockets_.push_back(std::move(socket));
}

std::string BridgeDriver::alias_of(std::string_view network_id) const {
  return fmt::format("{} network {}", tag_, network_id);
}

bool BridgeDriver::is_ours(std::string_view alias) const { return alias.starts_with(tag_ + " network "); }

int BridgeDriver::ensure(const BridgePlan& plan) {
  Lease socket(*this);
  auto link = kernel::find_link(*socket, plan.name);
  if (link && link->kind != "bridge")
    fail(ErrorKind::conflict, "interface {} exists and is no bridge: give the network another bridge name", plan.name);
  if (link && !is_ours(link->alias)) {
    if (!link->alias.empty())
      fail(ErrorKind::conflict, "bridge {} belongs to \"{}\": give the network another bridge name", plan.name,
           printable(link->alias, 80));
    LinkChanges().up(link->index).execute(*socket, "bring up bridge " + plan.name);
    return link->index;  // made by the administrator: its addresses are not ours to change
  }
  const bool made = !link;
  if (made) {
    kernel::create_bridge(*socket, {plan.name, alias_of(plan.network_id), bridge_mac(plan.network_id), plan.mtu});
    link = kernel::find_link(*socket, plan.name);
  }
  if (!link) fail(ErrorKind::unavailable, "bridge {} vanished", plan.name);
  try {
    set_ipv6(plan.name, plan.ipv6);
    LinkChanges changes;
    if (!made) changes.alias(link->index, alias_of(plan.network_id));
    if (!made) remove_other_addresses(*socket, link->index, plan.addresses, changes);
    for (const IpPrefix& address : plan.addresses) changes.add_address(link->index, address);
    // The kernel's own comes later, and until then it asks for no neighbour on behalf of others.
    if (plan.ipv6) changes.add_address(link->index, IpPrefix::parse(kLinkLocal));
    changes.up(link->index).execute(*socket, "set up bridge " + plan.name);
  } catch (...) {
    if (made) kernel::delete_link(*socket, link->index);
    throw;
  }
  return link->index;
}

std::optional<IpPrefix> BridgeDriver::foreign_address(const std::string& name) {
  Lease socket(*this);
  const auto link = kernel::find_link(*socket, name);
  if (!link || is_ours(link->alias)) return std::nullopt;
  for (const kernel::LinkAddress& address : kernel::list_addresses(*socket)) {
    if (address.index == link->index && address.address.address().is_v4()) return address.address;
  }
  return std::nullopt;
}

void BridgeDriver::remove(const std::string& name) {
  Lease socket(*this);
  const auto link = kernel::find_link(*socket, name);
  if (link && link->kind == "bridge" && is_ours(link->alias)) kernel::delete_link(*socket, link->index);
}

void BridgeDriver::remove_leftovers(const std::vector<std::string>& network_ids,
                                    const std::vector<std::string>& ports) {
  Lease socket(*this);
  std::vector<int> ours;
  for (const kernel::Link& bridge : kernel::list_links(*socket, "bridge")) {
    if (!is_ours(bridge.alias)) continue;
    const bool known = std::any_of(network_ids.begin(), network_ids.end(),
                                   [&](const std::string& id) { return bridge.alias == alias_of(id); });
    if (known) {
      ours.push_back(bridge.index);
      continue;
    }
    log::info("removing bridge {}: its network is gone", bridge.name);
    kernel::delete_link(*socket, bridge.index);
  }
  for (const kernel::Link& port : kernel::list_links(*socket, "veth")) {
    const bool in_ours = std::find(ours.begin(), ours.end(), port.master) != ours.end();
    if (!in_ours || !port.name.starts_with(kVethPrefix)) continue;
    if (std::find(ports.begin(), ports.end(), port.name) != ports.end()) continue;
    log::info("removing interface {}: its container is gone", port.name);
    kernel::delete_link(*socket, port.index);
  }
}

void BridgeDriver::adopt_port(const std::string& host_interface, const std::string& bridge) {
  Lease socket(*this);
  const auto link = kernel::find_link(*socket, host_interface);
  const auto master = kernel::find_link(*socket, bridge);
  if (!link || !master || link->master == master->index) return;
  LinkChanges()
      .master(link->index, master->index)
      .up(link->index)
      .execute(*socket, "adopt interface " + host_interface);
  kernel::wait_operational(*socket, host_interface, kPatience);
  kernel::wait_operational(*socket, bridge, kPatience);
}

void BridgeDriver::attach(const AttachPlan& plan, int netns_fd) {
  Lease host(*this);
  kernel::VethSpec veth;
  veth.host_name = plan.host_interface;
  veth.bridge = plan.bridge;
  veth.isolated = plan.isolated;
  veth.silence_ipv6 = has_ipv6_;
  veth.peer_name = plan.interface;
  veth.peer_netns = netns_fd;
  veth.peer_mac = plan.mac;
  veth.mtu = plan.mtu;
  for (const std::string& port : plan.retired_ports) kernel::silence_bridge_port(*host, port);
  try {
    kernel::create_veth(*host, veth);
    set_up_inside(plan, netns_fd);
  } catch (const Error& error) {
    // EEXIST: one of the names is somebody else's, and nothing was made.
    const auto made = error.number() == EEXIST ? std::nullopt : kernel::find_link(*host, plan.host_interface);
    if (made) kernel::delete_link(*host, made->index);
    throw;
  }
  // The container's first packet, microseconds from now, must not be lost: its sender would wait a second for the next.
  kernel::wait_operational(*host, plan.host_interface, kPatience);
  kernel::wait_operational(*host, plan.bridge_name, kPatience);
}

void BridgeDriver::detach(const std::string& interface, int netns_fd) {
  const kernel::NetnsVisit visit(netns_fd);
  NetlinkSocket inside(NETLINK_ROUTE);
  const auto link = kernel::find_link(inside, interface);
  if (link && link->kind == "veth") kernel::delete_link(inside, link->index);
}

void BridgeDriver::move_device(const std::string& host_name, const std::string& name, int netns_fd) {
  Lease host(*this);
  const auto link = kernel::find_link(*host, host_name);
  if (!link) fail(ErrorKind::not_found, "network device {} is not on the host", host_name);
  std::vector<IpPrefix> addresses;
  for (const kernel::LinkAddress& entry : kernel::list_addresses(*host))
    if (entry.index == link->index && entry.permanent && !entry.link_local) addresses.push_back(entry.address);
  LinkChanges move;
  move.to_netns(link->index, netns_fd, name);
  move.execute(*host, fmt::format("move the network device {} into the container as {}", host_name, name));
  const kernel::NetnsVisit visit(netns_fd);
  NetlinkSocket inside(NETLINK_ROUTE);
  const auto moved = kernel::find_link(inside, name);
  if (!moved) fail(ErrorKind::internal, "network device {} has not arrived in the container as {}", host_name, name);
  LinkChanges changes;
  for (const IpPrefix& address : addresses) changes.add_address(moved->index, address);
  changes.up(moved->index);
  changes.execute(inside, fmt::format("set up the network device {} in the container", name));
}

void BridgeDriver::set_default_routes(const std::string& interface, const std::vector<IpAddress>& gateways,
                                      int netns_fd) {
  const kernel::NetnsVisit visit(netns_fd);
  NetlinkSocket inside(NETLINK_ROUTE);
  const auto link = kernel::find_link(inside, interface);
  if (!link) fail(ErrorKind::not_found, "the container has no interface {}", interface);
  LinkChanges changes;
  for (const IpAddress& gateway : gateways) changes.default_route(link->index, gateway);
  changes.execute(inside, "set the default route of the container");
}

void BridgeDriver::loopback_up(int netns_fd) {
  const kernel::NetnsVisit visit(netns_fd);
  NetlinkSocket inside(NETLINK_ROUTE);
  LinkChanges().up(kLoopbackIndex).execute(inside, "bring up the container's loopback interface");
}

std::vector<IpPrefix> BridgeDriver::host_routes() {
  Lease socket(*this);
  return kernel::list_routes(*socket);
}

}  // namespace bryo::network

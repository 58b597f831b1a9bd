#include "kernel/netlink_links.hpp"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

ifinfomsg link_header(int index = 0, unsigned flags = 0, unsigned mask = 0) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = mask;
  return header;
}

std::uint8_t kernel_family(Family family) { return family == Family::v6 ? AF_INET6 : AF_INET; }

void put_name(NetlinkBatch& batch, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name.find('/') != std::string::npos)
    fail(ErrorKind::invalid_argument, "invalid interface name \"{}\": 1 to {} bytes, no '/'", name, IFNAMSIZ - 1);
  batch.text(IFLA_IFNAME, name);
}

void put_address(NetlinkBatch& batch, unsigned type, const IpAddress& address) {
  const auto bytes = address.bytes();
  batch.raw(type, bytes.data(), static_cast<std::size_t>(address.size()));
}

Link read_link_message(const NetlinkReply& reply) {
  const auto header = reply.header<ifinfomsg>();
  const auto attributes = reply.attributes<ifinfomsg>();
  Link link;
  link.index = header.ifi_index;
  link.flags = header.ifi_flags;
  link.name = attributes.text(IFLA_IFNAME);
  link.alias = attributes.text(IFLA_IFALIAS);
  link.kind = attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND);
  link.master = static_cast<int>(attributes.u32(IFLA_MASTER).value_or(0));
  link.mtu = static_cast<int>(attributes.u32(IFLA_MTU).value_or(0));
  const std::uint8_t state = attributes.u8(IFLA_OPERSTATE).value_or(IF_OPER_UNKNOWN);
  link.operational = state == IF_OPER_UP || state == IF_OPER_UNKNOWN;
  return link;
}

Family family_of(std::uint8_t kernel) {
  return kernel == AF_INET ? Family::v4 : kernel == AF_INET6 ? Family::v6 : Family::none;
}

std::optional<IpPrefix> read_prefix(const NetlinkAttributes& attributes, unsigned type, std::uint8_t family,
                                    int length) {
  const auto value = attributes.find(type);
  const Family known = family_of(family);
  if (!value || known == Family::none || value->size() < (known == Family::v4 ? 4U : 16U)) return std::nullopt;
  return IpPrefix(IpAddress::from_bytes(known, value->data()), length);
}

}  // namespace

std::optional<Link> find_link(NetlinkSocket& socket, const std::string& name) {
  NetlinkBatch batch;
  batch.message(RTM_GETLINK, 0, link_header());
  put_name(batch, name);
  batch.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::optional<Link> found;
  try {
    socket.query(batch, fmt::format("look for interface {}", name), [&](const NetlinkReply& reply) {
      if (reply.type == RTM_NEWLINK) found = read_link_message(reply);
    });
  } catch (const Error& error) {
    if (error.number() != ENODEV) throw;
  }
  return found;
}

bool wait_operational(NetlinkSocket& socket, const std::string& name, int patience) {
  for (int i = 0; i < patience; ++i) {
    const auto link = find_link(socket, name);
    if (!link) return false;
    if (link->operational) return true;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return false;
}

std::vector<Link> list_links(NetlinkSocket& socket, std::string_view kind) {
  NetlinkBatch batch;
  batch.message(RTM_GETLINK, 0, link_header()).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (!kind.empty()) batch.nest(IFLA_LINKINFO, [&] { batch.text(IFLA_INFO_KIND, kind); });
  std::vector<Link> links;
  socket.dump(
      batch, "list interfaces",
      [&](const NetlinkReply& reply) {
        if (reply.type != RTM_NEWLINK) return;
        Link link = read_link_message(reply);
        if (kind.empty() || link.kind == kind) links.push_back(std::move(link));
      },
      [&] { links.clear(); });
  return links;
}

void create_bridge(NetlinkSocket& socket, const BridgeSpec& spec) {
  NetlinkBatch batch;
  batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header());
  put_name(batch, spec.name);
  batch.raw(IFLA_ADDRESS, spec.mac.data(), spec.mac.size());
  if (spec.mtu > 0) batch.u32(IFLA_MTU, static_cast<std::uint32_t>(spec.mtu));
  batch.nest(IFLA_LINKINFO, [&] { batch.text(IFLA_INFO_KIND, "bridge"); });
  if (!spec.alias.empty()) {
    // The kernel takes no alias at birth; in the same system call, no kill comes between.
    batch.message(RTM_NEWLINK, 0, link_header());
    put_name(batch, spec.name);
    batch.raw(IFLA_IFALIAS, spec.alias.data(), spec.alias.size());
  }
  socket.execute(batch, fmt::format("create bridge {}", spec.name));
}

void create_veth(NetlinkSocket& socket, const VethSpec& spec) {
  NetlinkBatch batch;
  const auto common = [&](const std::string& name) {
    put_name(batch, name);
    if (spec.mtu > 0) batch.u32(IFLA_MTU, static_cast<std::uint32_t>(spec.mtu));
    // veth has no queue of its own; one per processor would only cost time to register.
    batch.u32(IFLA_NUM_TX_QUEUES, 1).u32(IFLA_NUM_RX_QUEUES, 1);
  };
  batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header());
  common(spec.host_name);
  batch.u32(IFLA_MASTER, static_cast<std::uint32_t>(spec.bridge));
  batch.nest(IFLA_LINKINFO, [&] {
    batch.text(IFLA_INFO_KIND, "veth");
    batch.nest(IFLA_INFO_DATA, [&] {
      batch.nest(VETH_INFO_PEER, [&] {
        const ifinfomsg peer = link_header();
        batch.append(&peer, sizeof(peer));
        common(spec.peer_name);
        batch.raw(IFLA_ADDRESS, spec.peer_mac.data(), spec.peer_mac.size());
        batch.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(spec.peer_netns));
      });
    });
  });
  // The host's end is a port: it has no business with IPv6, and would greet the container with its address otherwise.
  batch.message(RTM_NEWLINK, 0, link_header(0, IFF_UP, IFF_UP));
  put_name(batch, spec.host_name);
  if (spec.bridge != 0 && spec.silence_ipv6) {
    batch.nest(IFLA_AF_SPEC,
               [&] { batch.nest(AF_INET6, [&] { batch.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE); }); });
  }
  socket.execute(batch, fmt::format("create veth pair {} and {}", spec.host_name, spec.peer_name));
  if (!spec.isolated) return;
  const auto made = find_link(socket, spec.host_name);
  if (!made) fail(ErrorKind::unavailable, "interface {} vanished", spec.host_name);
  NetlinkBatch port;
  ifinfomsg header = link_header(made->index);
  header.ifi_family = AF_BRIDGE;
  port.message(RTM_SETLINK, 0, header).nest(IFLA_PROTINFO, [&] { port.u8(IFLA_BRPORT_ISOLATED, 1); });
  socket.execute(port, fmt::format("isolate bridge port {}", spec.host_name));
}

void delete_link(NetlinkSocket& socket, int index) {
  NetlinkBatch batch;
  batch.message(RTM_DELLINK, 0, link_header(index));
  try {
    socket.execute(batch, fmt::format("delete interface {}", index));
  } catch (const Error& error) {
    if (error.number() != ENODEV) throw;  // it died with its namespace meanwhile
  }
}

// As a message of the bridge's own family: an ordinary change of the link would make the bridge look at its carrier
// again, and enable it.
void silence_bridge_port(NetlinkSocket& socket, const std::string& name) {
  const auto port = find_link(socket, name);
  if (!port) return;
  NetlinkBatch batch;
  ifinfomsg header = link_header(port->index);
  header.ifi_family = AF_BRIDGE;
  batch.message(RTM_SETLINK, 0, header).nest(IFLA_PROTINFO, [&] {
    batch.u8(IFLA_BRPORT_STATE, BR_STATE_DISABLED);
    batch.raw(IFLA_BRPORT_FLUSH, nullptr, 0);
  });
  try {
    socket.execute(batch, fmt::format("silence bridge port {}", name));
  } catch (const Error& error) {
    // Gone, or down, or no port any more.
    if (error.number() != ENODEV && error.number() != ENETDOWN && error.number() != EINVAL) throw;
  }
}

void LinkChanges::link_flags(int index, unsigned flags, unsigned mask) {
  batch_.message(RTM_NEWLINK, 0, link_header(index, flags, mask));
}

LinkChanges& LinkChanges::up(int index) {
  link_flags(index, IFF_UP, IFF_UP);
  return *this;
}

LinkChanges& LinkChanges::down(int index) {
  link_flags(index, 0, IFF_UP);
  return *this;
}

LinkChanges& LinkChanges::mtu(int index, int mtu) {
  link_flags(index, 0, 0);
  batch_.u32(IFLA_MTU, static_cast<std::uint32_t>(mtu));
  return *this;
}

LinkChanges& LinkChanges::master(int index, int bridge) {
  link_flags(index, 0, 0);
  batch_.u32(IFLA_MASTER, static_cast<std::uint32_t>(bridge));
  return *this;
}

LinkChanges& LinkChanges::alias(int index, const std::string& text) {
  link_flags(index, 0, 0);
  batch_.raw(IFLA_IFALIAS, text.data(), text.size());
  return *this;
}

LinkChanges& LinkChanges::to_netns(int index, int netns_fd, const std::string& name) {
  link_flags(index, 0, 0);
  if (!name.empty()) batch_.text(IFLA_IFNAME, name);
  batch_.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  return *this;
}

void LinkChanges::address(std::uint16_t type, unsigned flags, int index, const IpPrefix& address) {
  ifaddrmsg header{};
  header.ifa_family = kernel_family(address.family());
  header.ifa_prefixlen = static_cast<std::uint8_t>(address.length());
  header.ifa_index = static_cast<std::uint32_t>(index);
  header.ifa_flags = address.family() == Family::v6 ? IFA_F_NODAD : 0;
  header.ifa_scope = address.address().is_link_local() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  batch_.message(type, flags, header);
  put_address(batch_, IFA_LOCAL, address.address());
  put_address(batch_, IFA_ADDRESS, address.address());
  if (address.family() == Family::v4 && address.length() < 31) put_address(batch_, IFA_BROADCAST, address.last());
}

LinkChanges& LinkChanges::add_address(int index, const IpPrefix& prefix) {
  address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, prefix);
  return *this;
}

LinkChanges& LinkChanges::remove_address(int index, const IpPrefix& prefix) {
  address(RTM_DELADDR, 0, index, prefix);
  return *this;
}

LinkChanges& LinkChanges::default_route(int index, const IpAddress& gateway) {
  rtmsg header{};
  header.rtm_family = kernel_family(gateway.family());
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  batch_.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  put_address(batch_, RTA_GATEWAY, gateway);
  batch_.u32(RTA_OIF, static_cast<std::uint32_t>(index));
  return *this;
}

LinkChanges& LinkChanges::route(int index, const IpPrefix& destination) {
  rtmsg header{};
  header.rtm_family = kernel_family(destination.family());
  header.rtm_dst_len = static_cast<std::uint8_t>(destination.length());
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  batch_.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  put_address(batch_, RTA_DST, destination.first());
  batch_.u32(RTA_OIF, static_cast<std::uint32_t>(index));
  return *this;
}

void LinkChanges::execute(NetlinkSocket& socket, std::string_view what) {
  if (!batch_.empty()) socket.execute(batch_, what);
}

std::vector<LinkAddress> list_addresses(NetlinkSocket& socket) {
  NetlinkBatch batch;
  batch.message(RTM_GETADDR, 0, ifaddrmsg{});
  std::vector<LinkAddress> addresses;
  socket.dump(
      batch, "list addresses",
      [&](const NetlinkReply& reply) {
        if (reply.type != RTM_NEWADDR) return;
        const auto header = reply.header<ifaddrmsg>();
        const auto attributes = reply.attributes<ifaddrmsg>();
        auto prefix = read_prefix(attributes, IFA_LOCAL, header.ifa_family, header.ifa_prefixlen);
        if (!prefix) prefix = read_prefix(attributes, IFA_ADDRESS, header.ifa_family, header.ifa_prefixlen);
        if (!prefix) return;
        addresses.push_back({static_cast<int>(header.ifa_index), *prefix, prefix->address().is_link_local(),
                             (header.ifa_flags & IFA_F_PERMANENT) != 0});
      },
      [&] { addresses.clear(); });
  return addresses;
}

std::vector<IpPrefix> list_routes(NetlinkSocket& socket) {
  NetlinkBatch batch;
  batch.message(RTM_GETROUTE, 0, rtmsg{});
  std::vector<IpPrefix> routes;
  socket.dump(
      batch, "list routes",
      [&](const NetlinkReply& reply) {
        const auto header = reply.header<rtmsg>();
        if (reply.type != RTM_NEWROUTE || header.rtm_type != RTN_UNICAST || header.rtm_dst_len == 0) return;
        const auto prefix =
            read_prefix(reply.attributes<rtmsg>(), RTA_DST, header.rtm_family, static_cast<int>(header.rtm_dst_len));
        if (prefix) routes.push_back(*prefix);
      },
      [&] { routes.clear(); });
  return routes;
}

}  // namespace bryo::kernel

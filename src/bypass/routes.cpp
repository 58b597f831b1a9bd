#include "bypass/routes.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/error.hpp"
#include "kernel/seccomp_notify.hpp"

namespace bryo::bypass {
namespace {

constexpr std::size_t kMostKnown = 1024;
// LOOPBACK_IFINDEX of the kernel: in every namespace.
constexpr int kLoopback = 1;

Route ask(kernel::NetlinkSocket& socket, const kernel::IpAddress& address) {
  rtmsg question{};
  question.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  question.rtm_dst_len = static_cast<unsigned char>(address.bits());
  // The entry of the table, not what comes of it: a packet to an own address would be said to go through "lo".
  question.rtm_flags = RTM_F_FIB_MATCH;
  kernel::NetlinkBatch batch;
  batch.message(RTM_GETROUTE, 0, question)
      .raw(RTA_DST, address.bytes().data(), static_cast<std::size_t>(address.size()));
  Route route;
  try {
    socket.query(batch, "find a route", [&](const kernel::NetlinkReply& reply) {
      if (reply.type != RTM_NEWROUTE) return;
      const auto type = reply.header<rtmsg>().rtm_type;
      const auto attributes = reply.attributes<rtmsg>();
      const bool to_router = attributes.find(RTA_GATEWAY) || attributes.find(RTA_VIA) || attributes.find(RTA_MULTIPATH);
      if (type == RTN_UNICAST && to_router) route.way = Way::gateway;
      if (type != RTN_UNICAST && type != RTN_LOCAL) return;
      const auto interface = static_cast<int>(attributes.u32(RTA_OIF).value_or(0));
      route.interface = interface == kLoopback ? 0 : interface;
    });
  } catch (const Error& error) {
    if (error.number() == ENETUNREACH) route.way = Way::nowhere;
  }
  return route;
}

}  // namespace

RouteSockets RouteSockets::open_here() {
  RouteSockets out;
  out.questions = kernel::NetlinkSocket(NETLINK_ROUTE).take();
  out.changes.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
  if (!out.changes || ::bind(out.changes.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail_errno("listen for changes of routes");
  return out;
}

Routes::Routes(RouteSockets sockets)
    : questions_(std::move(sockets.questions)),
      changes_(std::move(sockets.changes)),
      network_(kernel::network_of_socket(questions_.get())) {}

void Routes::notice_changes() {
  char piece[64];
  bool changed = false;
  // Messages that did not fit into the socket any more (ENOBUFS) are changes, too.
  while (::recv(changes_.get(), piece, sizeof piece, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENOBUFS) changed = true;
  if (changed) known_.clear();
}

const Route& Routes::to(const kernel::IpAddress& address) {
  notice_changes();
  if (const auto found = known_.find(address); found != known_.end()) return found->second;
  if (known_.size() >= kMostKnown) known_.clear();
  return known_[address] = ask(questions_, address);
}

}  // namespace bryo::bypass

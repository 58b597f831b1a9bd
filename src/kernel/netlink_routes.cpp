#include "kernel/netlink_routes.hpp"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

constexpr int kLoopback = 1;  // its index in every namespace

std::uint8_t kernel_family(Family family) { return family == Family::v6 ? AF_INET6 : AF_INET; }

std::string_view family_name(Family family) { return family == Family::v6 ? "IPv6" : "IPv4"; }

void put_rule(NetlinkBatch& batch, std::uint16_t type, unsigned flags, Family family, const LocalDelivery& delivery,
              bool own_packets) {
  fib_rule_hdr header{};
  header.family = kernel_family(family);
  header.action = FR_ACT_TO_TBL;
  header.table = RT_TABLE_UNSPEC;
  batch.message(type, flags, header);
  batch.u32(FRA_PRIORITY, delivery.priority + (own_packets ? 0 : 1));
  batch.u32(FRA_FWMARK, delivery.mark).u32(FRA_FWMASK, UINT32_MAX);
  if (own_packets) batch.text(FRA_IIFNAME, "lo");  // what did not come in by an interface
  batch.u32(FRA_TABLE, own_packets ? std::uint32_t{RT_TABLE_MAIN} : delivery.table);
}

void put_route(NetlinkBatch& batch, std::uint16_t type, unsigned flags, Family family, const LocalDelivery& delivery) {
  rtmsg header{};
  header.rtm_family = kernel_family(family);
  header.rtm_table = RT_TABLE_UNSPEC;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_HOST;
  header.rtm_type = RTN_LOCAL;
  batch.message(type, flags, header);
  batch.u32(RTA_TABLE, delivery.table).u32(RTA_OIF, kLoopback);
}

// Each by itself: rtnetlink tells the first failure of a batch only.
void execute_unless(NetlinkSocket& socket, NetlinkBatch batch, const std::string& what,
                    std::initializer_list<int> harmless) {
  try {
    socket.execute(batch, what);
  } catch (const Error& error) {
    if (std::find(harmless.begin(), harmless.end(), error.number()) == harmless.end()) throw;
  }
}

}  // namespace

bool deliver_locally(NetlinkSocket& socket, Family family, const LocalDelivery& delivery) {
  NetlinkBatch up;
  ifinfomsg loopback{};
  loopback.ifi_index = kLoopback;
  loopback.ifi_flags = loopback.ifi_change = IFF_UP;
  up.message(RTM_NEWLINK, 0, loopback);
  socket.execute(up, "bring the loopback interface up");
  const std::string what = fmt::format("{} routes for packets to transparent sockets", family_name(family));
  try {
    NetlinkBatch route;
    put_route(route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family, delivery);
    socket.execute(route, what);
  } catch (const Error& error) {
    if (error.number() == EAFNOSUPPORT || error.number() == EOPNOTSUPP) return false;
    throw;
  }
  for (const bool own_packets : {true, false}) {
    NetlinkBatch rule;
    put_rule(rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, family, delivery, own_packets);
    execute_unless(socket, std::move(rule), what, {EEXIST});
  }
  return true;
}

void stop_local_delivery(NetlinkSocket& socket, Family family, const LocalDelivery& delivery) {
  const std::string what = fmt::format("remove {} routes for packets to transparent sockets", family_name(family));
  for (const bool own_packets : {false, true}) {
    NetlinkBatch rule;
    put_rule(rule, RTM_DELRULE, 0, family, delivery, own_packets);
    execute_unless(socket, std::move(rule), what, {ENOENT, EAFNOSUPPORT, EOPNOTSUPP});
  }
  NetlinkBatch route;
  put_route(route, RTM_DELROUTE, 0, family, delivery);
  execute_unless(socket, std::move(route), what, {ESRCH, ENOENT, EAFNOSUPPORT, EOPNOTSUPP});
}

RouteLookup::RouteLookup() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  if (!fd_) fail_errno("make a netlink socket");
}

namespace {

// A request with at most one attribute, and its answer, on the stack: this is asked for every connection.
struct Conversation {
  std::array<std::byte, 64> request{};
  std::size_t size = 0;
  alignas(nlmsghdr) std::array<std::byte, 8192> answer{};

  void put(const void* value, std::size_t bytes) {
    std::memcpy(request.data() + size, value, bytes);
    size = NLMSG_ALIGN(size + bytes);
  }

  template <typename Header>
  Conversation(std::uint16_t type, const Header& header, std::uint16_t attribute, const void* value,
               std::size_t bytes) {
    size = NLMSG_HDRLEN;
    put(&header, sizeof header);
    const rtattr start{static_cast<std::uint16_t>(RTA_LENGTH(bytes)), attribute};
    put(&start, sizeof start);
    put(value, bytes);
    nlmsghdr first{};
    first.nlmsg_len = static_cast<std::uint32_t>(size);
    first.nlmsg_type = type;
    first.nlmsg_flags = NLM_F_REQUEST;
    std::memcpy(request.data(), &first, sizeof first);
  }

  // nullopt: the kernel said no. An answer to an earlier question is passed over.
  std::optional<NetlinkReply> hold(int fd, std::uint32_t sequence) {
    reinterpret_cast<nlmsghdr*>(request.data())->nlmsg_seq = sequence;
    if (::send(fd, request.data(), size, 0) < 0) return std::nullopt;
    for (;;) {
      const ssize_t got = ::recv(fd, answer.data(), answer.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < static_cast<ssize_t>(sizeof(nlmsghdr))) return std::nullopt;
      nlmsghdr header{};
      std::memcpy(&header, answer.data(), sizeof header);
      if (header.nlmsg_seq != sequence) continue;
      if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_len > static_cast<std::size_t>(got)) return std::nullopt;
      return NetlinkReply{header.nlmsg_type, std::span<const std::byte>(answer).subspan(
                                                 NLMSG_HDRLEN, header.nlmsg_len - std::size_t{NLMSG_HDRLEN})};
    }
  }
};

}  // namespace

RouteAnswer RouteLookup::ask(const IpAddress& destination) {
  rtmsg header{};
  header.rtm_family = kernel_family(destination.family());
  header.rtm_dst_len = static_cast<std::uint8_t>(destination.bits());
  const auto bytes = destination.bytes();
  Conversation question(RTM_GETROUTE, header, RTA_DST, bytes.data(), static_cast<std::size_t>(destination.size()));
  const auto reply = question.hold(fd_.get(), ++sequence_);
  RouteAnswer answer;
  if (!reply || reply->type != RTM_NEWROUTE) return answer;
  const auto type = reply->header<rtmsg>().rtm_type;
  answer.local = type == RTN_LOCAL || type == RTN_BROADCAST || type == RTN_ANYCAST || type == RTN_MULTICAST;
  answer.output = static_cast<int>(reply->attributes<rtmsg>().u32(RTA_OIF).value_or(0));
  answer.by_bridge = !answer.local && answer.output != 0 && is_bridge(answer.output);
  return answer;
}

bool RouteLookup::is_bridge(int index) {
  if (index == no_bridge_) return false;
  ifinfomsg header{};
  header.ifi_index = index;
  const std::uint32_t no_statistics = RTEXT_FILTER_SKIP_STATS;
  Conversation question(RTM_GETLINK, header, IFLA_EXT_MASK, &no_statistics, sizeof no_statistics);
  const auto reply = question.hold(fd_.get(), ++sequence_);
  if (!reply || reply->type != RTM_NEWLINK) return true;  // the side where nothing gets lost
  if (reply->attributes<ifinfomsg>().nested(IFLA_LINKINFO).text(IFLA_INFO_KIND) == "bridge") return true;
  no_bridge_ = index;
  return false;
}

}  // namespace bryo::kernel

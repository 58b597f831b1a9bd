// Where do packets go? Routing rules by mark (ip-rule(8)), and questions to the routing tables. Each acts in the
// network namespace of its socket; errors as in netlink.hpp.
#pragma once

#include <cstdint>
#include <optional>

#include "base/unique_fd.hpp"
#include "kernel/netlink.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::kernel {

// Packets with this mark that come in by an interface are delivered to this host, whatever their destination: the way
// to sockets with IP_TRANSPARENT. What this host itself sends is routed as ever, marked or not (a reply may inherit the
// mark: net.ipv4.fwmark_reflect; the check of source addresses may use it: src_valid_mark).
struct LocalDelivery {
  std::uint32_t mark = 0;
  std::uint32_t table = 0;     // ours alone
  std::uint32_t priority = 0;  // of two rules: this number and the next
};
// One that is there already is no error. Brings the loopback interface up. false: the kernel has no such family.
bool deliver_locally(NetlinkSocket& socket, Family family, const LocalDelivery& delivery);
// One that is not there is no error.
void stop_local_delivery(NetlinkSocket& socket, Family family, const LocalDelivery& delivery);

struct RouteAnswer {
  bool local = false;      // an address of this host, or a broadcast or multicast address
  int output = 0;          // index of the interface; 0: no route
  bool by_bridge = false;  // that interface is a bridge
};

// Asks the kernel where packets to an address would go: two short system calls a question, no allocation. Belongs to
// the namespace in which it was made; one thread at a time.
class RouteLookup {
 public:
  RouteLookup();
  RouteAnswer ask(const IpAddress& destination);

 private:
  bool is_bridge(int index);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  int no_bridge_ = 0;  // the last interface that was none: numbers of interfaces are not used twice
};

}  // namespace bryo::kernel

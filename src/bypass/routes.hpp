// Where does a network namespace send packets for an address? Asked of the kernel (rtnetlink(7)), remembered until
// something about its interfaces, addresses or routes changes. One thread.
#pragma once

#include <map>

#include "base/unique_fd.hpp"
#include "kernel/netlink.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::bypass {

enum class Way {
  gateway,  // to a router
  nearby,   // itself, or a neighbour on one of its links, or refused
  nowhere,  // it has no route there
};

// The two sockets of a namespace that Routes needs, made by a thread inside.
struct RouteSockets {
  UniqueFd questions;
  UniqueFd changes;
  static RouteSockets open_here();
};

struct Route {
  Way way = Way::nearby;
  // The interface that packets leave through; for the namespace's own addresses the one that has the address. 0: none,
  // or several. Loopback interfaces are none.
  int interface = 0;
};

class Routes {
 public:
  explicit Routes(RouteSockets sockets);

  const Route& to(const kernel::IpAddress& address);
  // The namespace, as kernel::network_of_socket names it.
  std::uint64_t network() const { return network_; }

 private:
  void notice_changes();

  kernel::NetlinkSocket questions_;
  UniqueFd changes_;
  std::uint64_t network_;
  std::map<kernel::IpAddress, Route> known_;
};

}  // namespace bryo::bypass

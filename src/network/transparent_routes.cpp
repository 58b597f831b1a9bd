#include "network/transparent_routes.hpp"

#include "kernel/netlink_routes.hpp"
#include "network/firewall.hpp"

namespace bryo::network {
namespace {

constexpr kernel::LocalDelivery kDelivery{kTransparentMark, kTransparentMark, 6272};

}  // namespace

void make_transparent_routes() {
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  for (const auto family : {kernel::Family::v4, kernel::Family::v6}) kernel::deliver_locally(socket, family, kDelivery);
}

void remove_transparent_routes() {
  kernel::NetlinkSocket socket(NETLINK_ROUTE);
  for (const auto family : {kernel::Family::v4, kernel::Family::v6})
    kernel::stop_local_delivery(socket, family, kDelivery);
}

}  // namespace bryo::network

// The kernel's table of connections (ctnetlink): find flows and forget them. A UDP flow that began before its port was
// published, or that leads to a container that is gone, would otherwise stick to its old way for minutes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernel/netlink.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::kernel {

struct Flow {
  std::uint8_t protocol = 0;
  IpAddress source;  // as the first packet had them
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  IpAddress reply_source;  // who really answers: the container, when translated
};

// Socket of NETLINK_NETFILTER. Returns how many were deleted; flows that end meanwhile are no error.
std::size_t delete_flows(NetlinkSocket& socket, const std::function<bool(const Flow&)>& which);

}  // namespace bryo::kernel

#include "kernel/tap.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"

namespace bryo::kernel {
namespace {

constexpr const char* kDevice = "/dev/net/tun";

UniqueFd open_device() {
  UniqueFd fd(::open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (fd) return fd;
  const int number = errno;
  if (number == ENOENT || number == ENODEV || number == ENXIO)
    fail(ErrorKind::unsupported, "open {}: {}: the kernel's tun module is missing: modprobe tun", kDevice,
         std::strerror(number));
  if (number == EACCES || number == EPERM)
    fail(ErrorKind::permission, "open {}: {}: the device must be open to all users: chmod 0666 {}", kDevice,
         std::strerror(number), kDevice);
  throw Error::from_errno(number, std::string("open ") + kDevice);
}

}  // namespace

UniqueFd make_tap(const std::string& name, int mtu, int netns_fd) {
  struct ifreq request = {};
  if (name.empty() || name.size() >= sizeof request.ifr_name)
    fail(ErrorKind::invalid_argument, "invalid interface name \"{}\": 1 to {} bytes", name,
         sizeof request.ifr_name - 1);
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  UniqueFd tap;
  run_in_netns(make_netns().get(), [&] {
    tap = open_device();
    if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) fail_errno("make the tap device {}", name);
    if (::ioctl(tap.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)
      fail_errno("set the offloads of the tap device {}", name);
    NetlinkSocket socket(NETLINK_ROUTE);
    const auto link = find_link(socket, name);
    if (!link) fail(ErrorKind::internal, "the tap device {} is not there after it was made", name);
    LinkChanges().mtu(link->index, mtu).to_netns(link->index, netns_fd).execute(socket, "move the tap device " + name);
  });
  return tap;
}

}  // namespace bryo::kernel

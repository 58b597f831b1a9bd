// A tap device (Linux' tuntap.txt): an interface whose other end is a descriptor, one Ethernet frame a read(2) or
// write(2), each after a virtio_net_hdr (linux/virtio_net.h): checksums and segmentation of TCP are the reader's. It
// lives as long as a descriptor of it is open.
#pragma once

#include <string>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

// Makes the interface `name`, down, with this MTU, in the namespace behind `netns_fd`; the descriptor is non-blocking.
// It does not keep that namespace alive: when the namespace goes, reads fail with EBADFD. (The descriptor of a tap
// holds the namespace it was opened in, so it is opened in one of its own and the interface is moved.)
// Error{permission} says what the host must grant: /dev/net/tun open to all.
UniqueFd make_tap(const std::string& name, int mtu, int netns_fd);

}  // namespace bryo::kernel

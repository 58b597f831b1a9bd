// Does this kernel let the calling thread, in its namespaces, do this? Each function does it, takes it back where it
// can, and throws Error with what the kernel said. For children (kernel/child.hpp): some leave traces in the process.
#pragma once

#include <string>

namespace bryo::kernel {

// A tap device through /dev/net/tun in the thread's network namespace (tuntap.rst); gone with the call.
void try_tap_device();
// A bridge, and a veth pair on it.
void try_bridge();
// A table of nf_tables with translation of addresses and a look at the state of connections, in one transaction.
void try_nftables();
// A TCP socket that may have foreign addresses: IP_TRANSPARENT (ip(7)).
void try_transparent_socket();
// A ping socket: ICMP without privilege (icmp(7), ping_group_range).
void try_ping_socket();
// A filter that notifies, and putting descriptors into the process it watches (seccomp_unotify(2), Linux 5.14). The
// process keeps the filter: getppid(2) hangs in it afterwards.
void try_seccomp_notify();
// openat2, pidfd_open, pidfd_getfd, close_range, open_tree, mount_setattr: ENOSYS names the missing one.
void try_new_system_calls();

struct OverlayTrial {
  std::string directory;   // an existing directory on the file system in question; nothing stays there
  bool userxattr = false;  // for user namespaces
  bool idmapped = false;   // the lower layer through an id-mapped mount: for the machine's root
};
// An overlay with a writable layer: a file is removed, a directory replaced, and the result is looked at. Wants a mount
// namespace of the caller's own.
void try_overlay(const OverlayTrial& trial);

}  // namespace bryo::kernel

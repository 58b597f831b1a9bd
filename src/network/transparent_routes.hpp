// The way back to a monitor's sockets that have a client's address: by IP_TRANSPARENT they send as somebody who is no
// address of this namespace, and the container's answers would be routed to that somebody. The firewall marks them
// (kTransparentMark), and routing rules deliver what is marked to this namespace. Plain functions; the kernel keeps it.
#pragma once

namespace bryo::network {

// In the network namespace of the calling thread, for both families; doing it twice is no error.
void make_transparent_routes();
void remove_transparent_routes();

}  // namespace bryo::network

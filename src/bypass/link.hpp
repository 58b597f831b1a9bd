// How a helper gets what it works with: a SOCK_SEQPACKET socket, one message a packet. Both the engine and the
// container's monitor hold its other end.
//
//      bryod                    bryo-bypass (host's network)              bryo-monitor
//        │ posix_spawn, link as descriptor 3 │                                │
//        ├── networks {4 sockets, options} ─▶│                                │
//        │                                   │◀── listener {of init} ─────────┤
//        │                                   │◀── listener {of an exec} ──────┤
//
// The helper ends when nobody holds the other end any more and no process is left behind any of its listeners.
#pragma once

#include <optional>
#include <vector>

#include "base/unique_fd.hpp"
#include "bypass/routes.hpp"

namespace bryo::bypass {

// The helper's end.
inline constexpr int kLinkDescriptor = 3;
// The name by which the program knows what it is to do.
inline constexpr const char* kProgramName = "bryo-bypass";

struct Link {
  UniqueFd ours;
  UniqueFd helper;
  static Link make();
};

struct Networks {
  RouteSockets container;
  RouteSockets engine;
  bool with_udp = false;
};

// They throw Error{unavailable} when the helper has gone.
void send_networks(int link, const Networks& networks);
void send_listener(int link, int listener);

struct Message {
  std::optional<Networks> networks;
  UniqueFd listener;
};
// nullopt: the other end is closed. Waits; messages that make no sense are empty.
std::optional<Message> receive_message(int link);

}  // namespace bryo::bypass

// How a helper gets what it works with: a SOCK_SEQPACKET socket, one message a packet. Both the engine and the
// container's monitor hold its other end.
//
//      bryod                    bryo-bypass (host's network)              bryo-monitor
//        │ posix_spawn, link as descriptor 3 │                                │
//        ├── networks {4 sockets, options} ─▶│                                │
//        │                                   │◀── journal {memory} ───────────┤
//        │                                   │◀── listener {of init} ─────────┤
//        │                                   │◀── listener {of an exec} ──────┤
//
// The monitor keeps a copy of every listener. When its end says that the helper has gone, it settles what the journal
// tells, lets through what is called from then on, and asks bryod for another helper, over another link:
//
//        │◀─────────────────────── event bypass_lost ─────────────────────────┤ (again after a while; also to the next
//        bryod) │ posix_spawn ─────────────────────▶│                                │ ├── networks
//        ──────────────────────▶│                                │ ├─────────────────────── use_bypass {link}
//        ─────────────────────────▶│ │                                   │◀── journal, every listener ────┤
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
// Before the first listener: where the helper is to keep its journal (journal.hpp).
void send_journal(int link, int memory);

struct Message {
  std::optional<Networks> networks;
  UniqueFd listener;
  UniqueFd journal;
};
// nullopt: the other end is closed. Waits; messages that make no sense are empty.
std::optional<Message> receive_message(int link);

}  // namespace bryo::bypass

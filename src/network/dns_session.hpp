// One container that the embedded DNS server serves: its sockets inside the container's network namespace, and what
// runs on its behalf. Belongs to the server's event loop thread.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "network/event_loop.hpp"

namespace bryo::network {

struct DnsSession {
  std::string container_id;
  UniqueFd netns;                    // queries to upstream servers leave from here
  std::vector<std::string> servers;  // --dns; empty: the host's
  EventLoop::Token udp = 0;
  EventLoop::Token tcp = 0;
  std::set<EventLoop::Token> owned;  // everything to close when the session ends
  std::size_t forwarding = 0;
  std::size_t clients = 0;  // TCP connections
  std::size_t turn = 0;     // of the round-robin
};

}  // namespace bryo::network

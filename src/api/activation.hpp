// systemd's side of the daemon: sockets that it hands over (sd_listen_fds(3)) and the news that we are ready
// (sd_notify(3)), spoken directly: both are a few lines of protocol. Not thread-safe: called by main.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::api {

struct InheritedSocket {
  UniqueFd fd;
  std::string name;  // path or address, for the log
  bool is_unix = false;
};

// FileDescriptorName= of sockets that are for published ports and not for the API.
inline constexpr std::string_view kPublishName = "publish";

// The listening sockets in LISTEN_FDS but those for published ports, or those that FileDescriptorName= calls `name`; each
// is given once. Throws Error{invalid_argument} when there is none, or one is not a listening stream socket.
std::vector<InheritedSocket> take_inherited_sockets(const std::string& name);
// Those for published ports, whatever they are; none is no error.
std::vector<UniqueFd> take_publish_sockets();

// "READY=1", "STOPPING=1", …; nothing happens when no service manager listens.
void notify_manager(std::string_view state);

}  // namespace bryo::api

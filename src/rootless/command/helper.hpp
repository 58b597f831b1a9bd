// The helper: keeps the user-mode network running and carries the connections of published ports. It is in the child's
// user and network namespace, but sees the host's files and processes. Ends, with the network, when the parent does.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/unique_fd.hpp"
#include "rootless/command/forward.hpp"
#include "rootless/command/link.hpp"
#include "rootless/command/options.hpp"

namespace bryo::rootless::command {

// What the parent wants to know of the network.
struct NetworkState {
  std::string dns;      // empty: no user-mode network
  std::string address;  // the command's
  bool operator==(const NetworkState&) const = default;
};

// The parent's side.
class Helper {
 public:
  // Starts it for the child with this pid, and waits until the network works. `netns` is the command's. `again`: one
  // before it has ended, and its network is to go on.
  Helper(const Options& options, const std::string& network_directory, pid_t child, int netns, bool again);

  const NetworkState& network() const { return network_; }
  pid_t pid() const { return pid_; }
  // Readable when it has ended.
  int process() const { return process_.get(); }

  // Error when it could not.
  void add(const Forward& forward, int socket) const;
  // Every forward of this port: their connections end.
  void remove(int id) const;
  // Ends it, and waits for that.
  void stop();

 private:
  pid_t pid_ = -1;
  UniqueFd process_;
  Link link_;
  NetworkState network_;
};

}  // namespace bryo::rootless::command

template <>
struct bryo::json::Fields<bryo::rootless::command::NetworkState> {
  using State = bryo::rootless::command::NetworkState;
  static constexpr auto list = std::tuple{field("dns", &State::dns), field("address", &State::address)};
};

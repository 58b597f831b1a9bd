// The published ports: numbered from 1, each with the host's listening sockets. The sockets live here, so that a new
// helper gets them when the old one has ended.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/unique_fd.hpp"
#include "rootless/command/helper.hpp"
#include "rootless/command/port_spec.hpp"

namespace bryo::rootless::command {

class Ports {
 public:
  struct Port {
    int id = 0;
    PortSpec spec;
  };

  // nullptr: no port driver; every port is refused then.
  explicit Ports(const Helper* helper) : helper_(helper) {}

  // Error{conflict} when it is published already, or taken by another program; then nothing was added.
  Port add(const PortSpec& spec);
  // Error{not_found}.
  void remove(int id);
  std::vector<Port> list() const;
  // After the helper has ended: all of them go to this one.
  void move_to(const Helper& helper);

 private:
  struct Socket {
    UniqueFd listener;
    Forward forward;
  };
  struct Entry {
    PortSpec spec;
    std::vector<Socket> sockets;
  };

  void check_conflicts(const PortSpec& spec) const;

  const Helper* helper_;
  std::map<int, Entry> ports_;
  int next_ = 1;
};

}  // namespace bryo::rootless::command

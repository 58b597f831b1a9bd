// Where do the sockets of published ports come from? They are opened in the namespace that other hosts know: our own,
// or the one outside (NetworkOptions::outside), or they were handed to us. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/sockets_address.hpp"
#include "network/options.hpp"
#include "network/ports.hpp"

namespace bryo::network {

struct HostSocket {
  UniqueFd fd;                 // empty: a socket for both families stands beside this one
  bool both_families = false;  // also takes IPv4
};

class HostSockets {
 public:
  HostSockets() = default;
  explicit HostSockets(const NetworkOptions& options)
      : outside_(options.outside), outer_ports_(options.outer_ports), inherited_(options.inherited) {}

  bool is_outside() const { return outside_ != nullptr; }
  // Can hosts reach us by IPv6?
  bool has_ipv6() const;
  // The ports that programs get which do not ask for one: net.ipv4.ip_local_port_range there.
  std::pair<std::uint16_t, std::uint16_t> ephemeral_range() const;
  // One for each of `hosts`, in their order, all or none. Throws in Go's words (kernel/sockets.hpp), and says what to
  // do where the port is the system's.
  std::vector<HostSocket> open(Protocol protocol, const std::vector<kernel::IpAddress>& hosts,
                               std::uint16_t port) const;

 private:
  void run(const std::function<void()>& errand) const;
  const InheritedPort* find_inherited(Protocol protocol, const kernel::IpAddress& host, std::uint16_t port) const;

  std::shared_ptr<kernel::NetnsThread> outside_;
  std::shared_ptr<OuterPorts> outer_ports_;
  std::vector<std::shared_ptr<const InheritedPort>> inherited_;
};

}  // namespace bryo::network

// Which host ports are ours? Hands out ports together with the bound sockets that keep everybody else off them.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sockets_address.hpp"
#include "network/host_sockets.hpp"
#include "network/ports.hpp"

namespace bryo::network {

struct ClaimedPort {
  kernel::IpAddress host;
  std::uint16_t port = 0;
  HostSocket socket;
};

class PortTable {
 public:
  // The range that port 0 is chosen from.
  PortTable(std::uint16_t first, std::uint16_t last, HostSockets sockets = {});

  // The same port number on every one of `hosts` (one per address family). Throws "Bind for 0.0.0.0:80 failed: port is
  // already allocated", or "listen tcp4 0.0.0.0:80: bind: address already in use" when a program outside has it.
  std::vector<ClaimedPort> claim(std::string_view owner, const PortPublish& request,
                                 const std::vector<kernel::IpAddress>& hosts);
  // A port of an earlier life; its socket is with the container's monitor.
  void adopt(std::string_view owner, Protocol protocol, const kernel::IpAddress& host, std::uint16_t port);
  void release(Protocol protocol, const kernel::IpAddress& host, std::uint16_t port);
  // Everything that the owner has.
  void release(std::string_view owner);

 private:
  struct Key {
    Protocol protocol = Protocol::tcp;
    std::uint16_t port = 0;
    kernel::IpAddress host;
    auto operator<=>(const Key&) const = default;
  };
  bool taken(const Key& key) const;
  std::vector<ClaimedPort> bind_all(Protocol protocol, const std::vector<kernel::IpAddress>& hosts, std::uint16_t port);
  std::vector<ClaimedPort> choose(const PortPublish& request, const std::vector<kernel::IpAddress>& hosts,
                                  std::uint16_t first, std::uint16_t last);

  const std::uint16_t first_;
  const std::uint16_t last_;
  const HostSockets sockets_;
  std::mutex mutex_;
  std::uint16_t next_;  // ephemeral ports go round, so that one just given back is not the next one handed out
  std::map<Key, std::string> owners_;
};

}  // namespace bryo::network

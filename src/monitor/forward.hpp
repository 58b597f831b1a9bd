// Published ports whose packets nf_tables did not redirect (loopback and ::1 of the host; in a rootless engine, all):
// connections and datagrams that arrive at a socket of the host go on to an address of the container. Bounded:
// kMaxConnections and kMaxSessions a container; what is over waits in the kernel's queue (tcp) or takes the place of
// the longest idle (udp).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "monitor/event_loop.hpp"
#include "monitor/types.hpp"

namespace bryo::monitor {

inline constexpr std::size_t kMaxConnections = 4096;
inline constexpr std::size_t kMaxSessions = 1024;
// Docker's own proxy forgets a datagram's sender after this long.
inline constexpr std::chrono::seconds kSessionIdle{90};

struct ForwardTarget {
  sockaddr_storage address{};
  socklen_t size = 0;
  // Throws Error{invalid_argument} unless the text is an IPv4 or IPv6 address.
  static ForwardTarget parse(const std::string& address, std::uint16_t port);
  int family() const { return address.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// Where the clients of one socket go.
struct ForwardTargets {
  ForwardTarget first;
  ForwardTarget other;  // of the other family; size 0: none
  bool transparent = false;
  static ForwardTargets parse(const PortForward& forward);
  // By the client's family.
  const ForwardTarget& target_for(int family) const {
    return other.size != 0 && other.family() == family ? other : first;
  }
};

class TcpForwards;
class UdpForwards;

class Forwards {
 public:
  explicit Forwards(EventLoop& loop);
  ~Forwards();

  // Throws Error; then nothing was added.
  void add(PortForward forward);
  // Every socket that is bound to one of these; `others`: to none of them. Who has connected to it already is served.
  void remove(const std::vector<PortName>& ports, bool others);
  // Closes the sockets of the host: their ports are free at once. Connections go on.
  void stop_listening();
  // And the connections too.
  void clear();

 private:
  EventLoop& loop_;
  std::unique_ptr<TcpForwards> tcp_;  // made when needed
  std::unique_ptr<UdpForwards> udp_;
};

}  // namespace bryo::monitor

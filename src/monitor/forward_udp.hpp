// UDP forwards: one connected socket to the container for each sender, as a NAT has. Part of Forwards.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "monitor/forward.hpp"
#include "monitor/forward_sockets.hpp"

namespace bryo::monitor {

class UdpListener;
class UdpSession;

class UdpForwards {
 public:
  explicit UdpForwards(EventLoop& loop);
  ~UdpForwards();

  void add(UniqueFd socket, const ForwardTargets& targets);
  // Sockets, with the senders that they have heard of: replies leave through the same socket.
  void remove_if(const std::function<bool(int socket)>& chosen);

 private:
  friend class UdpListener;
  friend class UdpSession;
  UdpSession* find(UdpListener& listener, const sockaddr_storage& sender, const struct LocalAddress& local);
  UdpSession* open(UdpListener& listener, const sockaddr_storage& sender, const struct LocalAddress& local);
  void used(UdpSession& session);
  void expire();

  EventLoop& loop_;
  ForwardSockets sockets_;
  std::vector<std::unique_ptr<UdpListener>> listeners_;
  std::list<std::unique_ptr<UdpSession>> sessions_;  // longest idle first
  Timer expiry_;
};

}  // namespace bryo::monitor

// TCP forwards: accept, connect, splice(2) both ways with half-close. Part of Forwards.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "monitor/forward.hpp"
#include "monitor/forward_sockets.hpp"
#include "monitor/splice_pipe.hpp"

namespace bryo::monitor {

class TcpConnection;
class TcpListener;

class TcpForwards {
 public:
  explicit TcpForwards(EventLoop& loop);
  ~TcpForwards();

  void add(UniqueFd listener, const ForwardTargets& targets);
  // Listeners by their sockets; those who wait in their queues are taken first.
  void remove_if(const std::function<bool(int socket)>& chosen);
  void stop_listening();

 private:
  friend class TcpListener;
  friend class TcpConnection;
  void accept_from(TcpListener& listener);
  void pause_accepting();
  void resume_accepting();
  void finished();
  void bury();

  EventLoop& loop_;
  ForwardSockets sockets_;
  SplicePipePool pipes_;
  std::vector<std::unique_ptr<TcpListener>> listeners_;
  std::vector<std::unique_ptr<TcpConnection>> connections_;
  Timer retry_;  // no descriptors left: look again
  Timer burial_;
};

}  // namespace bryo::monitor

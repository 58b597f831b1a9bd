// One held call: shall the caller's socket be exchanged for one of the host's, and what is the call's answer?
#pragma once

#include "bypass/journal.hpp"
#include "bypass/routes.hpp"
#include "bypass/sockets.hpp"
#include "bypass/watched.hpp"
#include "kernel/seccomp_notify.hpp"

namespace bryo::bypass {

struct Address;

class Switching {
 public:
  // `container` and `engine`: the routes of the two network namespaces that lie between the container and the host.
  Switching(Routes container, Routes engine, bool with_udp);

  // Answers the call. Never waits.
  void handle(const kernel::SeccompListener& listener, const kernel::HeldCall& call, Journal& journal);
  // Nothing has been asked for a while.
  void rest();

 private:
  struct Connect;
  void connect(const kernel::SeccompListener& listener, const kernel::HeldCall& call, Journal& journal);
  bool is_outside(const Address& address);
  void connect_again(const Connect& connect);
  void exchange(const Connect& connect);
  UniqueFd double_of(const Connect& connect);

  Routes container_;
  Routes engine_;
  Routes host_;
  bool with_udp_;
  Doubles doubles_;
  Callers callers_;
};

}  // namespace bryo::bypass

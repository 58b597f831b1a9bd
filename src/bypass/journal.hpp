// What a helper is doing, in memory that outlives it: when it is killed between receiving a call and answering it, the
// call waits for ever unless somebody else knows which one it is and what has been done about it. One page that the
// container's monitor makes; the helper writes, the monitor reads when the helper has gone.
#pragma once

#include <cstdint>

#include "base/unique_fd.hpp"
#include "kernel/seccomp_notify.hpp"

namespace bryo::bypass {

// What the caller gets once its socket has been exchanged.
struct ExchangeAnswer {
  bool let_through = false;  // the kernel goes on with connect() on the new socket
  int error = 0;             // else: 0, or an errno
};

class Journal {
 public:
  // Memory of its own, for a helper that nobody stands by.
  Journal();
  explicit Journal(const UniqueFd& memory);
  ~Journal();
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&& other) noexcept;

  // For a helper and the one who stands by.
  static UniqueFd make_memory();

  // Where the next call is received. Forgets the last one.
  kernel::HeldRecord& next();
  // Before an exchange: the caller is to have `socket` and then this answer.
  void exchanging(int socket, const ExchangeAnswer& answer);

  // When the helper has gone: answers the call that it has left, if it has come from this listener. As the helper would
  // have, when the caller's socket is exchanged already; else the call goes the way it goes without a bypass.
  void settle(const kernel::SeccompListener& listener) const;

 private:
  struct Page;
  Page* page_;
};

}  // namespace bryo::bypass

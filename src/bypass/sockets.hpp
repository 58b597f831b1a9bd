// A container's socket that is about to be connected, and its double in the network of the calling process.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::bypass {

struct SocketFacts {
  int family = 0;
  int type = 0;  // SOCK_STREAM, SOCK_DGRAM
  int protocol = 0;
  std::uint64_t network = 0;
  bool blocking = true;
  bool has_timeout = false;  // SO_SNDTIMEO: connect() waits so long
  bool bound = false;        // it has an address or a port of its own
  bool closed = false;       // TCP: nothing has been begun, or all is over
  bool has_error = false;    // one that was not asked for yet
  bool has_signals = false;  // O_ASYNC
  bool tcp() const { return type == SOCK_STREAM; }
};

// nullopt for everything but TCP and UDP sockets.
std::optional<SocketFacts> look_at(int socket);

// Makes doubles: same family, type and options, in the network namespace of the calling process, non-blocking and
// guarded as README.md promises: by a filter where the kernel lets ordinary users attach one, else by their interface.
// One thread.
class Doubles {
 public:
  // For a connection through this interface of the host. Empty when the original was told something that a double
  // cannot be told, or this host cannot make one, or the interface would be needed and is unknown (0).
  UniqueFd make(int original, const SocketFacts& facts, int interface);
  // Keeps one ready, so that the next caller need not wait for its making.
  void prepare(const SocketFacts& like);

 private:
  struct Kind {
    int family = 0;
    int type = 0;
    auto operator<=>(const Kind&) const = default;
  };
  using Values = std::vector<std::vector<char>>;

  enum class Guard { unknown, filter, interface };

  UniqueFd fresh(const SocketFacts& facts);
  // What a socket of this kind answers when nobody told it anything.
  const Values& defaults(int socket, const SocketFacts& facts);
  bool copy_options(int from, int to, const SocketFacts& facts);

  Guard guard_ = Guard::unknown;
  std::map<Kind, Values> defaults_;
  std::map<Kind, UniqueFd> spare_;
};

}  // namespace bryo::bypass

// The process that a UserNetwork knows: keeps the tap, follows the host's name servers, and has a confined child that
// runs the stack. A child that ends otherwise than with its namespace (a frame that breaks libslirp) takes the
// connections with it and nothing else: it is counted, and another one takes its place on the same tap.
//
//   bryod ── starts ──▶ supervisor (sees the host's /etc; parses nothing of the namespace's)
//                          └─ forks ──▶ stack (confine.hpp)
//
// The child gets SIGKILL when the supervisor ends; with the last descriptor of the tap the interface goes.
#pragma once

#include "rootless/usernet/config.hpp"

namespace bryo::rootless::usernet {

// Returns the exit status: 0 after SIGTERM or when the network namespace is gone. Throws before anything runs.
int supervise(const Config& config);

}  // namespace bryo::rootless::usernet

// The process bryo-bypass: one container's helper in the host's network namespace.
#pragma once

#include <cstdint>

#include "base/unique_fd.hpp"

namespace bryo::bypass {

// Serves until nobody needs it (link.hpp). Returns the exit status.
// `rights`: more capabilities that it keeps (a mask); for tests.
int run_server(UniqueFd link, std::uint64_t rights = 0);

}  // namespace bryo::bypass

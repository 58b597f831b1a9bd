// bryo-usernet: connects a network namespace with the network of the namespace that it runs in. Not called by people:
// UserNetwork (user_network.hpp) starts it with a tap device as descriptor 3. With --guard it waits for the day when
// nobody needs a network's process any more (network_guard.hpp).
#include <exception>
#include <span>

#include "base/log.hpp"
#include "rootless/network_guard.hpp"
#include "rootless/usernet/config.hpp"
#include "rootless/usernet/supervisor.hpp"

int main(int count, char** arguments) {
  using namespace bryo::rootless;
  try {
    const auto words = std::span<char* const>(arguments, static_cast<std::size_t>(count)).subspan(1);
    if (words.size() == 3 && words[0] == kGuardArgument) return guard_network(words[1], words[2]);
    return usernet::supervise(usernet::parse_arguments(words));
  } catch (const std::exception& error) {
    bryo::log::error("{}", error.what());
    return 1;
  }
}

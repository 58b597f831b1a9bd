// bryo-usernet: connects a network namespace with the network of the namespace that it runs in. Not called by people:
// UserNetwork (user_network.hpp) starts it with a tap device as descriptor 3.
#include <exception>
#include <span>

#include "base/log.hpp"
#include "rootless/usernet/config.hpp"
#include "rootless/usernet/supervisor.hpp"

int main(int count, char** arguments) {
  using namespace bryo::rootless;
  try {
    const auto words = std::span<char* const>(arguments, static_cast<std::size_t>(count)).subspan(1);
    return usernet::supervise(usernet::parse_arguments(words));
  } catch (const std::exception& error) {
    bryo::log::error("{}", error.what());
    return 1;
  }
}

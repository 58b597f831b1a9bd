#include "rootless/user_network.hpp"

#include "base/error.hpp"

namespace bryo::rootless {

UserNetwork UserNetwork::start(const UserNetworkOptions&, int, kernel::NetnsThread&) {
  fail(ErrorKind::unsupported, "the user-mode network is not built yet");
}

std::optional<UserNetwork> UserNetwork::adopt(const std::string&) { return std::nullopt; }

void UserNetwork::stop() {}

}  // namespace bryo::rootless

// Streams to programs that wait on a socket of the file system: a console, a seccomp agent.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace bryo::runtime::command {

// `what` names the setting that the path comes from, for the message.
UniqueFd connect_to_socket(const std::string& path, std::string_view what);
// All of the text, the descriptor with its first byte.
void send_with_descriptor(int socket, std::string_view text, int descriptor, std::string_view what);

}  // namespace bryo::runtime::command

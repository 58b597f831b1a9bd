// One question to a server on a unix socket, and its whole answer.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace bryo::kernel {

// Sends `text` and reads until the server closes, at most `limit` bytes. The path has 107 bytes at most (unix(7)).
// Error {unavailable} when nobody listens there, or a step takes longer than `patience`.
std::string ask_unix_server(const std::string& path, std::string_view text, std::chrono::seconds patience,
                            std::size_t limit);

}  // namespace bryo::kernel

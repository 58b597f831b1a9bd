#include "kernel/unix_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace bryo::kernel {
namespace {

[[noreturn]] void give_up(std::string_view what, const std::string& path) {
  throw Error(ErrorKind::unavailable, Error::from_errno(errno, fmt::format("{} {}", what, path)).message());
}

UniqueFd connected(const std::string& path, std::chrono::seconds patience) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    fail(ErrorKind::invalid_argument, "the path of the socket {} is too long", path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) fail_errno("make a unix socket");
  const timeval time{patience.count(), 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    if (::setsockopt(socket.get(), SOL_SOCKET, option, &time, sizeof time) != 0) fail_errno("set a time limit");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    give_up("connect to", path);
  return socket;
}

}  // namespace

std::string ask_unix_server(const std::string& path, std::string_view text, std::chrono::seconds patience,
                            std::size_t limit) {
  const UniqueFd socket = connected(path, patience);
  while (!text.empty()) {
    const ssize_t sent = ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) give_up("write to", path);
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  std::string answer;
  std::array<char, 4096> part{};
  while (answer.size() < limit) {
    const ssize_t got = ::recv(socket.get(), part.data(), std::min(part.size(), limit - answer.size()), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) give_up("read from", path);
    if (got == 0) break;
    answer.append(part.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

}  // namespace bryo::kernel

#include "api/activation.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::api {
namespace {

constexpr int kFirstFd = 3;  // SD_LISTEN_FDS_START

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_stream_listener(int fd) {
  int type = 0;
  int listening = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) return false;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

std::string socket_name(int fd, bool& is_unix) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  is_unix = storage.ss_family == AF_UNIX;
  if (is_unix) {
    const auto* address = reinterpret_cast<const sockaddr_un*>(&storage);
    return {address->sun_path, ::strnlen(address->sun_path, length - offsetof(sockaddr_un, sun_path))};
  }
  if (storage.ss_family == AF_INET) {
    const auto* address = reinterpret_cast<const sockaddr_in*>(&storage);
    return kernel::IpAddress::from_bytes(kernel::Family::v4, &address->sin_addr).with_port(ntohs(address->sin_port));
  }
  const auto* address = reinterpret_cast<const sockaddr_in6*>(&storage);
  return kernel::IpAddress::from_bytes(kernel::Family::v6, &address->sin6_addr).with_port(ntohs(address->sin6_port));
}

// How many sockets were passed to this very process.
int passed_to_us() {
  if (parse_integer<pid_t>(environment("LISTEN_PID")) != ::getpid()) return 0;
  return parse_integer<int>(environment("LISTEN_FDS")).value_or(0);
}

}  // namespace

std::vector<InheritedSocket> take_inherited_sockets(const std::string& name) {
  const int count = passed_to_us();
  const std::string_view all_names = environment("LISTEN_FDNAMES");
  const auto names = split(all_names, ':');
  std::vector<InheritedSocket> out;
  for (int i = 0; i < count; ++i) {
    const int fd = kFirstFd + i;
    const auto index = static_cast<std::size_t>(i);
    const bool wanted =
        name.empty() || name == "*" || name == std::to_string(fd) || (index < names.size() && names[index] == name);
    // Already taken by an earlier fd:// when it is closed on exec.
    const int flags = ::fcntl(fd, F_GETFD);
    if (!wanted || flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
    if (!is_stream_listener(fd))
      fail(ErrorKind::invalid_argument, "descriptor {} from socket activation is not a listening stream socket", fd);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    InheritedSocket socket;
    socket.fd.reset(fd);
    socket.name = socket_name(fd, socket.is_unix);
    out.push_back(std::move(socket));
  }
  if (out.empty())
    fail(ErrorKind::invalid_argument,
         "no socket for fd://{} was handed over by socket activation (LISTEN_FDS): start bryod through its .socket "
         "unit, "
         "or use -H unix:///run/bryo/bryo.sock",
         printable(name));
  return out;
}

void notify_manager(std::string_view state) {
  const std::string_view path = environment("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), length);
}

}  // namespace bryo::api

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

struct Passed {
  int fd = -1;
  std::string_view name;
};

// Sockets that were passed to this very process, and not taken: those that are taken are closed on exec.
std::vector<Passed> passed_sockets() {
  if (parse_integer<pid_t>(environment("LISTEN_PID")) != ::getpid()) return {};
  const int count = parse_integer<int>(environment("LISTEN_FDS")).value_or(0);
  const auto names = split(environment("LISTEN_FDNAMES"), ':');
  std::vector<Passed> out;
  for (int i = 0; i < count; ++i) {
    const int flags = ::fcntl(kFirstFd + i, F_GETFD);
    if (flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
    const auto index = static_cast<std::size_t>(i);
    out.push_back({kFirstFd + i, index < names.size() ? names[index] : std::string_view()});
  }
  return out;
}

UniqueFd take(const Passed& passed) {
  ::fcntl(passed.fd, F_SETFD, FD_CLOEXEC);
  return UniqueFd(passed.fd);
}

}  // namespace

std::vector<InheritedSocket> take_inherited_sockets(const std::string& name) {
  std::vector<InheritedSocket> out;
  for (const Passed& passed : passed_sockets()) {
    const bool any = (name.empty() || name == "*") && passed.name != kPublishName;
    if (!any && name != std::to_string(passed.fd) && (name.empty() || passed.name != name)) continue;
    if (!is_stream_listener(passed.fd))
      fail(ErrorKind::invalid_argument, "descriptor {} from socket activation is not a listening stream socket",
           passed.fd);
    InheritedSocket socket;
    socket.fd = take(passed);
    socket.name = socket_name(passed.fd, socket.is_unix);
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

std::vector<UniqueFd> take_publish_sockets() {
  std::vector<UniqueFd> out;
  for (const Passed& passed : passed_sockets())
    if (passed.name == kPublishName) out.push_back(take(passed));
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

#include "kernel/sockets.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <tuple>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

constexpr int kBacklog = 4096;  // cut to net.core.somaxconn

struct RawAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

RawAddress raw_address(const IpAddress& address, std::uint16_t port) {
  RawAddress raw;
  const auto bytes = address.bytes();
  if (address.is_v6()) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, bytes.data(), 16);
    std::memcpy(&raw.storage, &v6, sizeof(v6));
    raw.size = sizeof(v6);
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), 4);
    std::memcpy(&raw.storage, &v4, sizeof(v4));
    raw.size = sizeof(v4);
  }
  return raw;
}

std::pair<IpAddress, std::uint16_t> from_raw(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage, sizeof(v6));
    return {IpAddress::from_bytes(Family::v6, &v6.sin6_addr), ntohs(v6.sin6_port)};
  }
  sockaddr_in v4;
  std::memcpy(&v4, &storage, sizeof(v4));
  return {IpAddress::from_bytes(Family::v4, &v4.sin_addr), ntohs(v4.sin_port)};
}

// "bind: address already in use": Go prints the call and the C library's words in lower case.
[[noreturn]] void fail_like_go(std::string_view operation, const IpAddress& address, std::uint16_t port,
                               std::string_view call) {
  const int number = errno;
  char text[128];
  std::string reason = strerror_r(number, text, sizeof(text));
  if (!reason.empty() && reason[0] >= 'A' && reason[0] <= 'Z') reason[0] = static_cast<char>(reason[0] - 'A' + 'a');
  throw Error(
      Error::from_errno(number, "").kind(),
      fmt::format("listen {}{} {}: {}: {}", operation, address.is_v6() ? 6 : 4, address.with_port(port), call, reason));
}

UniqueFd make_socket(const IpAddress& address, int type, std::string_view name, std::uint16_t port) {
  UniqueFd fd(::socket(address.is_v6() ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail_like_go(name, address, port, "socket");
  const int on = 1;
  if (address.is_v6() && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
    fail_like_go(name, address, port, "setsockopt");
  return fd;
}

void bind_socket(const UniqueFd& fd, const IpAddress& address, std::uint16_t port, std::string_view name) {
  const RawAddress raw = raw_address(address, port);
  if (::bind(fd.get(), raw.get(), raw.size) != 0) fail_like_go(name, address, port, "bind");
}

}  // namespace

UniqueFd listen_tcp(const IpAddress& address, std::uint16_t port) {
  UniqueFd fd = make_socket(address, SOCK_STREAM, "tcp", port);
  const int on = 1;  // connections of an earlier life in TIME_WAIT do not keep the port
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
    fail_like_go("tcp", address, port, "setsockopt");
  bind_socket(fd, address, port, "tcp");
  if (::listen(fd.get(), kBacklog) != 0) fail_like_go("tcp", address, port, "listen");
  return fd;
}

UniqueFd bind_udp(const IpAddress& address, std::uint16_t port) {
  UniqueFd fd = make_socket(address, SOCK_DGRAM, "udp", port);
  bind_socket(fd, address, port, "udp");
  return fd;
}

UniqueFd connect_udp(const IpAddress& address, std::uint16_t port) {
  UniqueFd fd = make_socket(address, SOCK_DGRAM, "udp", port);
  const RawAddress raw = raw_address(address, port);
  if (::connect(fd.get(), raw.get(), raw.size) != 0) fail_errno("connect udp {}", address.with_port(port));
  return fd;
}

UniqueFd start_connect_tcp(const IpAddress& address, std::uint16_t port) {
  UniqueFd fd = make_socket(address, SOCK_STREAM, "tcp", port);
  const RawAddress raw = raw_address(address, port);
  if (::connect(fd.get(), raw.get(), raw.size) != 0 && errno != EINPROGRESS)
    fail_errno("connect tcp {}", address.with_port(port));
  return fd;
}

std::optional<UniqueFd> accept_tcp(int listener) {
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd) return fd;
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return std::nullopt;
  fail_errno("accept");
}

std::uint16_t local_port(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) fail_errno("getsockname");
  return from_raw(storage).second;
}

BoundSocket inspect_socket(int fd) {
  const auto option = [fd](int level, int name) {
    int value = 0;
    socklen_t size = sizeof(value);
    return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
  };
  BoundSocket out;
  const int type = option(SOL_SOCKET, SO_TYPE);
  const int protocol = option(SOL_SOCKET, SO_PROTOCOL);
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  const bool named = ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0;
  const bool internet = named && (storage.ss_family == AF_INET || storage.ss_family == AF_INET6);
  out.datagrams = type == SOCK_DGRAM && protocol == IPPROTO_UDP;
  if (!internet || (!out.datagrams && (type != SOCK_STREAM || protocol != IPPROTO_TCP)))
    fail(ErrorKind::invalid_argument, "descriptor {} is not a TCP or UDP socket", fd);
  std::tie(out.address, out.port) = from_raw(storage);
  if (out.port == 0) fail(ErrorKind::invalid_argument, "descriptor {} is a socket that is bound to no port", fd);
  out.listening = option(SOL_SOCKET, SO_ACCEPTCONN) == 1;
  out.both_families = storage.ss_family == AF_INET6 && option(IPPROTO_IPV6, IPV6_V6ONLY) == 0;
  return out;
}

UniqueFd duplicate_socket(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) fail_errno("duplicate a socket");
  return copy;
}

bool has_ipv6() {
  const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return false;
  const RawAddress any = raw_address(IpAddress::any(Family::v6), 0);
  return ::bind(fd.get(), any.get(), any.size) == 0;
}

std::optional<Datagram> receive_datagram(int fd, void* buffer, std::size_t size) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  const ssize_t received = ::recvfrom(fd, buffer, size, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&storage), &length);
  if (received < 0) return std::nullopt;
  const auto [address, port] = from_raw(storage);
  return Datagram{static_cast<std::size_t>(received), address, port};
}

bool send_datagram(int fd, const void* data, std::size_t size, const IpAddress& to, std::uint16_t port) {
  const RawAddress raw = raw_address(to, port);
  return ::sendto(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, raw.get(), raw.size) == static_cast<ssize_t>(size);
}

std::optional<std::size_t> receive_some(int fd, void* buffer, std::size_t size) {
  const ssize_t received = ::recv(fd, buffer, size, MSG_DONTWAIT);
  if (received >= 0) return static_cast<std::size_t>(received);
  if (errno == EAGAIN || errno == EINTR) return std::nullopt;
  fail_errno("receive");
}

std::optional<std::size_t> send_some(int fd, const void* data, std::size_t size) {
  const ssize_t sent = ::send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno == EAGAIN || errno == EINTR) return std::nullopt;
  fail_errno("send");
}

void finish_connect(int fd) {
  int number = 0;
  socklen_t size = sizeof(number);
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0) fail_errno("getsockopt SO_ERROR");
  if (number != 0) throw Error::from_errno(number, "connect");
}

pid_t unix_socket_owner(int directory, const std::string& name) {
  const std::string path = directory < 0 ? name : fmt::format("/proc/self/fd/{}/{}", directory, name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -1;
  path.copy(address.sun_path, path.size());
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    const UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) fail_errno("make a unix socket");
    ucred owner{};
    socklen_t size = sizeof owner;
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &owner, &size) == 0)
      return owner.pid;
  }
  return -1;
}

}  // namespace bryo::kernel

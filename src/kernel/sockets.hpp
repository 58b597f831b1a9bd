// Internet sockets as the engine needs them: all O_CLOEXEC and non-blocking, in the calling thread's network namespace.
// Errors are Go's words, which clients of Docker know: "listen tcp4 0.0.0.0:80: bind: address already in use", with
// ErrorKind::conflict for that one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.hpp"
#include "kernel/sockets_address.hpp"

namespace bryo::kernel {

// A listening socket; IPv6 ones take IPv6 only. Port 0 lets the kernel choose.
UniqueFd listen_tcp(const IpAddress& address, std::uint16_t port);
UniqueFd bind_udp(const IpAddress& address, std::uint16_t port);
// A UDP socket that receives from this address and port only, bound to a port of the kernel's choice.
UniqueFd connect_udp(const IpAddress& address, std::uint16_t port);
// The connection is under way: wait until writable, then look at SO_ERROR.
UniqueFd start_connect_tcp(const IpAddress& address, std::uint16_t port);
// nullopt: nobody there now.
std::optional<UniqueFd> accept_tcp(int listener);
std::uint16_t local_port(int fd);
// A socket that somebody else made (socket activation).
struct BoundSocket {
  bool datagrams = false;  // UDP; else TCP
  bool listening = false;
  IpAddress address;
  std::uint16_t port = 0;
  bool both_families = false;  // an IPv6 socket that also takes IPv4
};
// Throws Error{invalid_argument} when it is no TCP or UDP socket, or bound to no port.
BoundSocket inspect_socket(int fd);
// Another descriptor of the same socket, O_CLOEXEC.
UniqueFd duplicate_socket(int fd);
// Whether the namespace can bind IPv6 addresses.
bool has_ipv6();

struct Datagram {
  std::size_t size = 0;
  IpAddress from;
  std::uint16_t port = 0;
};
// nullopt: none there now. Longer datagrams are cut.
std::optional<Datagram> receive_datagram(int fd, void* buffer, std::size_t size);
// Best effort, as UDP is: false when it could not be sent now.
bool send_datagram(int fd, const void* data, std::size_t size, const IpAddress& to, std::uint16_t port);

// Of a connected socket. nullopt: nothing now (would block); 0: the other side has ended. Throws when it is broken.
std::optional<std::size_t> receive_some(int fd, void* buffer, std::size_t size);
std::optional<std::size_t> send_some(int fd, const void* data, std::size_t size);
// After start_connect_tcp, when writable: throws what went wrong.
void finish_connect(int fd);

// The process that listens on the unix socket (stream or seqpacket) of this name, in an open directory or AT_FDCWD, as
// SO_PEERCRED tells (unix(7)); -1 when nobody does. By descriptor, since addresses have 107 bytes only.
pid_t unix_socket_owner(int directory, const std::string& name);

}  // namespace bryo::kernel

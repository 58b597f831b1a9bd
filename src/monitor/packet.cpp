#include "monitor/packet.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "base/error.hpp"

namespace bryo::monitor {
namespace {

constexpr std::size_t kMaxMemory = 64 << 20;

union ControlBuffer {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
};

void add_descriptors(msghdr& message, ControlBuffer& control, std::span<const int> descriptors) {
  if (descriptors.empty()) return;
  const std::size_t size = descriptors.size_bytes();
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(size);
  std::memset(control.bytes, 0, message.msg_controllen);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(header), descriptors.data(), size);
}

std::vector<UniqueFd> take_descriptors(msghdr& message) {
  std::vector<UniqueFd> out;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

void check(const MessageHeader& header, std::size_t received, int flags) {
  if ((flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || received < sizeof header || header.magic != kMagic ||
      header.size != received - sizeof header)
    fail(ErrorKind::invalid_argument, "control socket: a packet of {} bytes is malformed", received);
  if (header.version != kProtocolVersion)
    fail(ErrorKind::unsupported, "control socket: the other side speaks version {} of the protocol, this one {}",
         header.version, kProtocolVersion);
}

}  // namespace

Transfer send_packet(int socket, MessageType type, std::uint32_t request, std::string_view payload,
                     std::span<const int> descriptors, bool wait) {
  if (payload.size() > kMaxPayload || descriptors.size() > kMaxDescriptors)
    fail(ErrorKind::internal, "control message {} is too large: {} bytes, {} descriptors", to_string(type),
         payload.size(), descriptors.size());
  MessageHeader header;
  header.type = type;
  header.request = request;
  header.size = static_cast<std::uint32_t>(payload.size());
  iovec parts[] = {{&header, sizeof header}, {const_cast<char*>(payload.data()), payload.size()}};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  add_descriptors(message, control, descriptors);
  while (true) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0) return Transfer::done;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Transfer::would_block;
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return Transfer::closed;
    fail_errno("send {} on the control socket", to_string(type));
  }
}

Transfer receive_packet(int socket, Packet& packet, bool wait) {
  packet = {};
  char payload[kMaxPayload];
  iovec parts[] = {{&packet.header, sizeof packet.header}, {payload, sizeof payload}};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return Transfer::would_block;
  if (got < 0 && errno == ECONNRESET) return Transfer::closed;
  if (got < 0) fail_errno("receive from the control socket");
  packet.descriptors = take_descriptors(message);
  if (got == 0) return Transfer::closed;
  check(packet.header, static_cast<std::size_t>(got), message.msg_flags);
  packet.payload.assign(payload, packet.header.size);
  return Transfer::done;
}

UniqueFd to_memory(std::string_view bytes) {
  UniqueFd memory(::memfd_create("bryo-message", MFD_CLOEXEC));
  if (!memory) fail_errno("memfd_create for a control message");
  while (!bytes.empty()) {
    const ssize_t put = ::write(memory.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_errno("write {} bytes of a control message to memory", bytes.size());
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return memory;
}

std::string from_memory(int descriptor) {
  struct stat state {};
  if (::fstat(descriptor, &state) < 0) fail_errno("fstat of a control message");
  if (state.st_size < 0 || static_cast<std::size_t>(state.st_size) > kMaxMemory)
    fail(ErrorKind::invalid_argument, "control message of {} bytes is too large", state.st_size);
  std::string bytes(static_cast<std::size_t>(state.st_size), '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::pread(descriptor, bytes.data() + have, bytes.size() - have, static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail_errno("read a control message from memory");
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

bool peer_is_trusted(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return false;
  return credentials.uid == 0 || credentials.uid == ::geteuid();
}

}  // namespace bryo::monitor

#include "bypass/link.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "base/error.hpp"

namespace bryo::bypass {
namespace {

enum class Kind : char { networks = 'n', networks_with_udp = 'u', listener = 'l', journal = 'j' };

constexpr std::size_t kMostDescriptors = 4;

union Control {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
};

void send(int link, Kind kind, std::span<const int> descriptors) {
  iovec part{&kind, sizeof kind};
  Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  // The queue holds more messages than a container has processes under way; a helper that is stopped must not stop us.
  if (::sendmsg(link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    fail(ErrorKind::unavailable, "the bypass helper of this container does not answer ({}): start the container again",
         std::strerror(errno));
}

std::vector<UniqueFd> take_descriptors(msghdr& message) {
  std::vector<UniqueFd> out;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

Link Link::make() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail_errno("make the bypass helper's link");
  Link out;
  out.ours.reset(ends[0]);
  out.helper.reset(ends[1]);
  return out;
}

void send_networks(int link, const Networks& networks) {
  const int descriptors[] = {networks.container.questions.get(), networks.container.changes.get(),
                             networks.engine.questions.get(), networks.engine.changes.get()};
  send(link, networks.with_udp ? Kind::networks_with_udp : Kind::networks, descriptors);
}

void send_listener(int link, int listener) { send(link, Kind::listener, {&listener, 1}); }

void send_journal(int link, int memory) { send(link, Kind::journal, {&memory, 1}); }

std::optional<Message> receive_message(int link) {
  Kind kind{};
  iovec part{&kind, sizeof kind};
  Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t size = 0;
  while ((size = ::recvmsg(link, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (size <= 0) return std::nullopt;
  std::vector<UniqueFd> descriptors = take_descriptors(message);
  Message out;
  if (kind == Kind::listener && descriptors.size() == 1) out.listener = std::move(descriptors[0]);
  if (kind == Kind::journal && descriptors.size() == 1) out.journal = std::move(descriptors[0]);
  if ((kind == Kind::networks || kind == Kind::networks_with_udp) && descriptors.size() == kMostDescriptors)
    out.networks = Networks{{std::move(descriptors[0]), std::move(descriptors[1])},
                            {std::move(descriptors[2]), std::move(descriptors[3])},
                            kind == Kind::networks_with_udp};
  return out;
}

}  // namespace bryo::bypass

#include "rootless/command/link.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::rootless::command {
namespace {

constexpr std::size_t kMaxMessage = 16384;
constexpr char kBetween = '\n';

union Control {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int))];
};

UniqueFd descriptor_in(msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

ssize_t send_bytes(int socket, std::string& bytes, int descriptor) {
  iovec piece{bytes.data(), bytes.size()};
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

}  // namespace

std::pair<Link, Link> Link::make() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail_errno("make a socket pair");
  return {Link(UniqueFd(ends[0])), Link(UniqueFd(ends[1]))};
}

void Link::send(std::string_view word, std::string_view text, int descriptor) const {
  std::string bytes = std::string(word) + kBetween + std::string(text);
  if (bytes.size() > kMaxMessage) fail(ErrorKind::internal, "message {} has {} bytes", word, bytes.size());
  if (send_bytes(socket_.get(), bytes, descriptor) < 0)
    throw Error(ErrorKind::unavailable, Error::from_errno(errno, fmt::format("send {}", word)).message());
}

void Link::try_send(std::string_view word, std::string_view text) const noexcept {
  try {
    std::string bytes = std::string(word) + kBetween + std::string(text.substr(0, kMaxMessage / 2));
    send_bytes(socket_.get(), bytes, -1);
  } catch (const std::exception&) {
    return;  // no memory left: the end of the file says the rest
  }
}

std::optional<Message> Link::receive() const {
  std::string bytes(kMaxMessage, '\0');
  iovec piece{bytes.data(), bytes.size()};
  Control control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t size = -1;
  do {
    size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(size));
  const auto pair = split_once(bytes, kBetween);
  if (!pair) return std::nullopt;
  return Message{std::string(pair->first), std::string(pair->second), descriptor_in(message)};
}

Message Link::expect(std::string_view word, std::string_view who) const {
  auto message = receive();
  if (!message) fail(ErrorKind::unavailable, "{} ended unexpectedly", who);
  if (message->word == "error") fail(ErrorKind::unavailable, "{}", message->text);
  if (message->word != word)
    fail(ErrorKind::internal, "{} said \"{}\" instead of \"{}\"", who, printable(message->word, 40), word);
  return std::move(*message);
}

}  // namespace bryo::rootless::command

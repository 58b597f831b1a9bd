#include "runtime/command/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::runtime::command {

UniqueFd connect_to_socket(const std::string& path, std::string_view what) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket for {}", what);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    fail(ErrorKind::invalid_argument, "{}: {} is too long for a socket", what, printable(path));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0)
    fail_errno("{}: connect to {}", what, printable(path));
  return fd;
}

void send_with_descriptor(int socket, std::string_view text, int descriptor, std::string_view what) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  for (std::size_t sent = 0; sent < text.size();) {
    struct iovec part = {const_cast<char*>(text.data() + sent), text.size() - sent};
    struct msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent == 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      struct cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    const ssize_t size = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail_errno("{}: send a descriptor", what);
    sent += static_cast<std::size_t>(size);
  }
}

}  // namespace bryo::runtime::command

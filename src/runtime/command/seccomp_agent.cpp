#include "runtime/command/seccomp_agent.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::runtime::command {
namespace {

// The name under which the state lists the descriptor that comes with it.
constexpr const char* kListenerName = "seccompFd";

UniqueFd connect_to_agent(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    fail(ErrorKind::invalid_argument, "linux.seccomp.listenerPath: {} is too long for a socket", printable(path));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (::connect(fd.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0)
    fail_errno("linux.seccomp.listenerPath: connect to the agent at {}", printable(path));
  return fd;
}

// The descriptor goes with the first byte; the rest may take more than one call.
void send_all(int socket, const std::string& text, int descriptor) {
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
    if (size < 0) fail_errno("linux.seccomp.listenerPath: send the listener to the agent");
    sent += static_cast<std::size_t>(size);
  }
}

}  // namespace

ListenerHandler seccomp_agent(const oci::RuntimeSpec& spec, const ContainerState& state, Status status) {
  if (!spec.linux_ || !spec.linux_->seccomp || spec.linux_->seccomp->listener_path.empty()) return {};
  return [&spec, &state, status](const UniqueFd& listener, pid_t pid) {
    const oci::LinuxSeccomp& agent = *spec.linux_->seccomp;
    json::Object message;
    message["ociVersion"] = oci::kRuntimeSpecVersion;
    message["fds"] = json::Array{kListenerName};
    message["pid"] = pid;
    if (!agent.listener_metadata.empty()) message["metadata"] = agent.listener_metadata;
    message["state"] = json::encode(view_of(state, spec, status));
    // A connection for every listener, closed behind it.
    send_all(connect_to_agent(agent.listener_path).get(), json::serialize(message), listener.get());
  };
}

}  // namespace bryo::runtime::command

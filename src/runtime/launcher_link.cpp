#include "runtime/launcher_link.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstring>

#include "base/strings.hpp"
#include "kernel/raw.hpp"

namespace bryo::runtime {
namespace {

void reap_pid(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

}  // namespace

LinkPair::LinkPair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail_errno("socketpair");
  launcher = UniqueFd(ends[0]);
  child = UniqueFd(ends[1]);
}

std::optional<ReceivedReport> receive_report(int socket) {
  Report report;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct iovec part = {&report, sizeof report};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  while ((size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  // A child that was killed with unread messages in its queue resets the connection.
  if (size < 0 && errno != ECONNRESET) fail_errno("receive from the container's first process");
  if (size <= 0) return std::nullopt;
  ReceivedReport received;
  if (const struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    received.descriptor.reset(fd);
  }
  if (static_cast<std::size_t>(size) < kReportHeader || report.size > static_cast<std::size_t>(size) - kReportHeader)
    fail(ErrorKind::internal, "malformed message from the container's first process");
  received.kind = report.kind;
  received.error = report.error;
  received.exit_code = static_cast<int>(report.exit_code);
  received.text.assign(report.text, report.size);
  return received;
}

bool send_report(int socket, ReportKind kind, int number, std::span<const int> descriptors) {
  Report report;
  report.kind = kind;
  report.error = number;
  alignas(cmsghdr) char control[CMSG_SPACE(kReportDescriptors * sizeof(int))] = {};
  struct iovec part = {&report, kReportHeader};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  while ((sent = ::sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
  }
  if (sent < 0 && errno != EPIPE && errno != ECONNRESET) fail_errno("send to the container's first process");
  return sent >= 0;
}

void take_listener(int socket, pid_t pid, int number, const std::function<void(UniqueFd, pid_t)>& handler) {
  if (!handler) fail(ErrorKind::unsupported, "linux.seccomp.listenerPath: notifications are not supported here");
  const UniqueFd process(kernel::raw::pidfd_open(pid));
  if (process.get() < 0) fail(ErrorKind::internal, "pidfd_open of {}, whose seccomp listener is wanted", pid);
  const int taken = kernel::raw::pidfd_getfd(process.get(), number);
  if (taken < 0) throw Error::from_errno(-taken, "take the seccomp listener (CAP_SYS_PTRACE is needed)");
  handler(UniqueFd(taken), pid);
  send_report(socket, ReportKind::taken);
}

Error to_error(const ReceivedReport& report) {
  const std::string text = printable(report.text, Report::kMaxText);
  if (report.exit_code != 0) return Error(ErrorKind::invalid_argument, text).with_exit_code(report.exit_code);
  // Of kind internal whatever the errno: a missing file inside the container is no "not found" of the request's.
  return Error(ErrorKind::internal, Error::from_errno(report.error, text).message());
}

std::string to_warning(const ReceivedReport& report) {
  return Error::from_errno(report.error, printable(report.text, Report::kMaxText)).message();
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)), owned_(std::exchange(other.owned_, true)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  kill_and_reap();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  owned_ = std::exchange(other.owned_, true);
  return *this;
}

void ChildProcess::kill_and_reap() noexcept {
  if (pid_ <= 0 || !owned_) return;
  if (pidfd_)
    kernel::raw::pidfd_send_signal(pidfd_.get(), SIGKILL);
  else
    ::kill(pid_, SIGKILL);
  reap();
}

void ChildProcess::reap() noexcept {
  if (pid_ > 0 && owned_) reap_pid(pid_);
  pid_ = -1;
}

}  // namespace bryo::runtime

#include "runtime/child_link.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/raw.hpp"

namespace bryo::runtime::child {
namespace {

namespace raw = kernel::raw;

// write(2) where no descriptor goes along: the one call that every seccomp profile allows.
void send_packet(int fd, const Report& report, int descriptor) noexcept {
  const std::size_t size = kReportHeader + report.size;
  if (descriptor < 0) {
    while (raw::call(SYS_write, fd, &report, size) == -EINTR) {
    }
    return;
  }
  struct iovec part = {const_cast<Report*>(&report), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  while (raw::call(SYS_sendmsg, fd, &message, MSG_NOSIGNAL) == -EINTR) {
  }
}

std::size_t take_descriptors(struct msghdr& message, int* out, std::size_t room) noexcept {
  std::size_t count = 0;
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < here; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      if (count < room)
        out[count++] = fd;
      else
        raw::close(fd);
    }
  }
  return count;
}

}  // namespace

void LauncherLink::send_text(ReportKind kind, int error, unsigned exit_code, Words words) const noexcept {
  Report report;
  report.kind = kind;
  report.error = error;
  report.exit_code = exit_code;
  for (const char* word : words)
    while (word != nullptr && *word != '\0' && report.size < Report::kMaxText) report.text[report.size++] = *word++;
  send_packet(fd_, report, -1);
}

void LauncherLink::fail(int error, Words what) const noexcept {
  send_text(ReportKind::failure, error, 0, what);
  end(1);
}

void LauncherLink::cannot_run(int error, unsigned exit_code, Words text) const noexcept {
  send_text(ReportKind::failure, error, exit_code, text);
  end(static_cast<int>(exit_code));
}

void LauncherLink::warn(int error, Words what) const noexcept { send_text(ReportKind::warning, error, 0, what); }

void LauncherLink::send(ReportKind kind, int number, int descriptor) const noexcept {
  Report report;
  report.kind = kind;
  report.error = number;
  send_packet(fd_, report, descriptor);
}

int LauncherLink::wait_for(ReportKind kind, int* descriptors, std::size_t room, int* number) const noexcept {
  Report report;
  alignas(cmsghdr) char control[CMSG_SPACE(kReportDescriptors * sizeof(int))];
  struct iovec part = {&report, sizeof report};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  long size = 0;
  while ((size = raw::call(SYS_recvmsg, fd_, &message, MSG_CMSG_CLOEXEC)) == -EINTR) {
  }
  if (size < static_cast<long>(kReportHeader) || report.kind != kind) return -1;
  if (number != nullptr) *number = report.error;
  return static_cast<int>(take_descriptors(message, descriptors, room));
}

int LauncherLink::wait_for_word(ReportKind kind) const noexcept {
  Report report;
  long size = 0;
  while ((size = raw::call(SYS_read, fd_, &report, sizeof report)) == -EINTR) {
  }
  if (size < 0) return static_cast<int>(size);
  return size >= static_cast<long>(kReportHeader) && report.kind == kind ? 0 : -EPIPE;
}

void end(int status) noexcept {
  for (;;) raw::call(SYS_exit_group, status);
}

}  // namespace bryo::runtime::child

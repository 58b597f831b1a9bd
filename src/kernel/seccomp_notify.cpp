#include "kernel/seccomp_notify.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/raw.hpp"

// Newer than the headers of Debian 12.
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace bryo::kernel {
namespace {

// More than one entry of one number is a descriptor that was closed while a copy of it lived on.
constexpr std::uint32_t kMostEntries = 32;

std::optional<pid_t> process_of(pid_t thread) {
  const UniqueFd file(::open(fmt::format("/proc/{}/status", thread).c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
  if (size <= 0) return std::nullopt;
  for (const auto line : split(std::string_view(text, static_cast<std::size_t>(size)), '\n'))
    if (line.starts_with("Tgid:")) return parse_integer<pid_t>(trim(line.substr(5)));
  return std::nullopt;
}

std::uint64_t ask_cookie(int socket, int option) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return ::getsockopt(socket, SOL_SOCKET, option, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace

SeccompListener::SeccompListener(UniqueFd fd) : fd_(std::move(fd)) {
  // Linux 6.6: who waits for us and we take turns on one CPU instead of waking another. Without it only slower.
  ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

HeldCall read_held(const HeldRecord& record) {
  static_assert(sizeof(HeldRecord) == sizeof(seccomp_notif));
  const auto held = std::bit_cast<seccomp_notif>(record);
  HeldCall out{held.id, static_cast<pid_t>(held.pid), held.data.arch, held.data.nr, {}};
  for (std::size_t i = 0; i < out.arguments.size(); ++i) out.arguments[i] = held.data.args[i];
  return out;
}

std::optional<HeldCall> SeccompListener::receive(HeldRecord& into) {
  into = {};
  while (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, &into) != 0) {
    if (errno == ENOENT) return std::nullopt;
    if (errno != EINTR) fail_errno("receive a held system call");
    into = {};
  }
  return read_held(into);
}

bool SeccompListener::alive(const HeldCall& call) const {
  std::uint64_t id = call.id;
  return ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void SeccompListener::let_through(const HeldCall& call) const { reply(call, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); }

void SeccompListener::reply(const HeldCall& call, std::int64_t value, int error, std::uint32_t flags) const {
  seccomp_notif_resp response{};
  response.id = call.id;
  response.val = value;
  response.error = error;
  response.flags = flags;
  if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) != 0 && errno != ENOENT && errno != EINPROGRESS)
    fail_errno("answer a held system call");
}

bool SeccompListener::replace(const HeldCall& call, int source, int number, bool close_on_exec) const {
  seccomp_notif_addfd request{};
  request.id = call.id;
  request.flags = SECCOMP_ADDFD_FLAG_SETFD;
  request.srcfd = static_cast<std::uint32_t>(source);
  request.newfd = static_cast<std::uint32_t>(number);
  request.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
  return ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request) == number;
}

UniqueFd open_thread(pid_t thread) {
  int fd = static_cast<int>(raw::call(SYS_pidfd_open, thread, static_cast<unsigned>(PIDFD_THREAD)));
  if (fd == -EINVAL) {
    const auto process = process_of(thread);
    fd = process ? raw::pidfd_open(*process) : -ESRCH;
  }
  return UniqueFd(fd < 0 ? -1 : fd);
}

UniqueFd copy_descriptor_of(int pidfd, int number, bool& gone) {
  const int fd = raw::pidfd_getfd(pidfd, number);
  gone = fd == -ESRCH;
  return UniqueFd(fd < 0 ? -1 : fd);
}

bool read_memory_of(pid_t thread, std::uint64_t address, std::span<std::byte> into) {
  iovec local{into.data(), into.size()};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address in another process
  iovec remote{reinterpret_cast<void*>(address), into.size()};
  return ::process_vm_readv(thread, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(into.size());
}

UniqueFd open_descriptor_facts(pid_t thread) {
  return UniqueFd(::open(fmt::format("/proc/{}/fdinfo", thread).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::optional<int> descriptor_flags(int facts, int number) {
  char name[16];
  *fmt::format_to_n(name, sizeof name - 1, "{}", number).out = '\0';
  const UniqueFd file(::openat(facts, name, O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return std::nullopt;
  text[size] = '\0';
  const char* flags = std::strstr(text, "flags:");
  if (flags == nullptr) return std::nullopt;
  return static_cast<int>(std::strtol(flags + 6, nullptr, 8));
}

std::vector<int> epoll_descriptors_of(pid_t thread) {
  std::vector<int> out;
  const std::string path = fmt::format("/proc/{}/fd", thread);
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return out;
  while (const dirent* entry = ::readdir(directory)) {
    char target[32];
    const ssize_t size = ::readlinkat(::dirfd(directory), entry->d_name, target, sizeof target);
    if (size <= 0 || std::string_view(target, static_cast<std::size_t>(size)) != "anon_inode:[eventpoll]") continue;
    if (const auto number = parse_integer<int>(entry->d_name)) out.push_back(*number);
  }
  ::closedir(directory);
  return out;
}

EpollAnswer epoll_watches(pid_t thread, int epoll, int number) {
  for (std::uint32_t entry = 0; entry < kMostEntries; ++entry) {
    kcmp_epoll_slot slot{static_cast<std::uint32_t>(epoll), static_cast<std::uint32_t>(number), entry};
    const long order = raw::call(SYS_kcmp, thread, thread, KCMP_EPOLL_TFD, number, &slot);
    if (order == -ENOENT) return EpollAnswer::not_registered;
    if (order < 0) return EpollAnswer::no_epoll;
    if (order == 0) return EpollAnswer::registered;
  }
  return EpollAnswer::registered;
}

std::uint64_t network_of_socket(int socket) { return ask_cookie(socket, SO_NETNS_COOKIE); }

std::uint64_t cookie_of_socket(int socket) { return ask_cookie(socket, SO_COOKIE); }

}  // namespace bryo::kernel

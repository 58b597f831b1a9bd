// The list of system calls, with libseccomp(3).
#include <fcntl.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "rootless/usernet/confine.hpp"

namespace bryo::rootless::usernet {
namespace {

// Names of other architectures' calls are skipped where they do not exist.
constexpr std::array kAllowed = {
    // The tap, the sockets and the wait between.
    "read", "write", "readv", "writev", "close", "recvfrom", "recvmsg", "recv", "sendto", "sendmsg", "send", "connect",
    "bind", "listen", "accept", "accept4", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll",
    // The one file.
    "fstat", "fstat64", "newfstatat", "fstatat64", "stat", "stat64", "statx", "lseek", "_llseek",
    // Memory and time.
    "brk", "mmap2", "munmap", "mremap", "madvise", "futex", "clock_gettime", "clock_gettime64", "gettimeofday", "time",
    "getrandom", "rt_sigreturn", "sigreturn", "restart_syscall", "rt_sigprocmask", "getpid", "gettid", "exit",
    "exit_group"};

// Nothing that we link calls these: whoever does is not us.
constexpr std::array kFatal = {"execve",
                               "execveat",
                               "fork",
                               "vfork",
                               "clone",
                               "clone3",
                               "ptrace",
                               "process_vm_readv",
                               "process_vm_writev",
                               "process_madvise",
                               "pidfd_open",
                               "pidfd_getfd",
                               "pidfd_send_signal",
                               "kill",
                               "tkill",
                               "rt_sigqueueinfo",
                               "rt_tgsigqueueinfo",
                               "mount",
                               "umount2",
                               "umount",
                               "pivot_root",
                               "chroot",
                               "move_mount",
                               "open_tree",
                               "fsopen",
                               "fsmount",
                               "fsconfig",
                               "fspick",
                               "mount_setattr",
                               "setns",
                               "unshare",
                               "bpf",
                               "perf_event_open",
                               "userfaultfd",
                               "io_uring_setup",
                               "io_uring_enter",
                               "io_uring_register",
                               "keyctl",
                               "add_key",
                               "request_key",
                               "open_by_handle_at",
                               "name_to_handle_at",
                               "init_module",
                               "finit_module",
                               "delete_module",
                               "kexec_load",
                               "kexec_file_load",
                               "memfd_create",
                               "memfd_secret",
                               "setuid",
                               "setgid",
                               "setresuid",
                               "setresgid",
                               "setgroups",
                               "capset",
                               "socketpair",
                               "seccomp",
                               "landlock_create_ruleset"};

class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_ERRNO(EPERM)), ::seccomp_release) {
    if (!context_) fail(ErrorKind::internal, "seccomp_init failed");
  }

  void add(std::uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // younger than this libseccomp
    const int result = ::seccomp_rule_add_array(context_.get(), action, number,
                                                static_cast<unsigned>(conditions.size()), std::data(conditions));
    // EDOM: not a call of this architecture.
    if (result < 0 && result != -EDOM) throw Error::from_errno(-result, std::string("seccomp: rule for ") + name);
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
    add(SCMP_ACT_ALLOW, name, conditions);
  }
  void load() {
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree: fast for calls that come often
    if (const int result = ::seccomp_load(context_.get()); result < 0)
      throw Error::from_errno(-result, "load the seccomp filter");
  }

 private:
  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
};

constexpr scmp_arg_cmp equals(unsigned argument, std::uint64_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
constexpr scmp_arg_cmp without(unsigned argument, std::uint64_t bits) {
  return {argument, SCMP_CMP_MASKED_EQ, bits, 0};
}

}  // namespace

void allow_only_needed_system_calls() {
  Filter filter;
  for (const char* name : kAllowed) filter.allow(name);
  for (const char* name : kFatal) filter.add(SCMP_ACT_KILL_PROCESS, name);
  // No unix sockets (abstract ones belong to the host's network namespace), no netlink, no packets.
  for (const int family : {AF_INET, AF_INET6}) filter.allow("socket", {equals(0, static_cast<std::uint64_t>(family))});
  // Nothing is ever written to a file.
  const std::uint64_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
  filter.allow("openat", {without(2, writing)});
  filter.allow("open", {without(1, writing)});
  filter.allow("ioctl", {equals(1, FIONREAD)});
  for (const char* name : {"fcntl", "fcntl64"})
    for (const int command : {F_GETFL, F_SETFL, F_GETFD, F_SETFD})
      filter.allow(name, {equals(1, static_cast<std::uint64_t>(command))});
  // No memory is executable that was not when we came here.
  filter.allow("mmap", {without(2, 4)});
  filter.allow("mprotect", {without(2, 4)});
  // abort(3): a process that finds itself broken may end itself.
  filter.allow("tgkill", {equals(0, static_cast<std::uint64_t>(::getpid()))});
#if defined(__SANITIZE_ADDRESS__)
  filter.allow("sigaltstack");  // asked by the sanitizer whenever something is thrown
#endif
  filter.load();
}

}  // namespace bryo::rootless::usernet

// The default profile as data: what ordinary programs need, by subject, and what a capability adds. A call that is not
// named is refused with EPERM; one newer than all of these is "not implemented".
#include <linux/capability.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/strings.hpp"
#include "runtime/seccomp_profile.hpp"

namespace bryo::runtime {
namespace {

// Words, separated by blanks.
constexpr std::string_view kFiles =
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 "
    "fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 "
    "fdatasync "
    "fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat lchown lchown32 lgetxattr link linkat "
    "listxattr "
    "listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat "
    "name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead "
    "readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr "
    "setxattrat splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2 "
    "arm_sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes "
    "vmsplice write writev file_getattr file_setattr";
constexpr std::string_view kEvents =
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd "
    "eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl poll ppoll "
    "ppoll_time64 "
    "pselect6 pselect6_time64 select _newselect signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup "
    "io_submit pipe pipe2";
constexpr std::string_view kMemory =
    "brk cachestat map_shadow_stack madvise memfd_create memfd_secret membarrier mincore "
    "mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free "
    "pkey_mprotect process_mrelease remap_file_pages rseq";
constexpr std::string_view kProcesses =
    "alarm arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait "
    "futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 "
    "getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid "
    "getresuid32 getrlimit getrusage getsid gettid getuid getuid32 getrandom ioprio_get ioprio_set kill "
    "landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules lsm_set_self_attr modify_ldt "
    "nanosleep "
    "pause pidfd_open pidfd_send_signal prctl prlimit64 ptrace process_vm_readv process_vm_writev restart_syscall "
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity "
    "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity "
    "sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area "
    "set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer "
    "setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit "
    "setsid setuid setuid32 sigaltstack sigprocmask sigreturn sigsuspend sigaction signal sigpending sysinfo tgkill "
    "times "
    "tkill ugetrlimit uname vfork wait4 waitid waitpid";
constexpr std::string_view kTime =
    "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
    "clock_nanosleep clock_nanosleep_time64 gettimeofday time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime timer_settime64";
constexpr std::string_view kIpc =
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
    "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget";
constexpr std::string_view kNetwork =
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 "
    "recvmsg "
    "send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";
constexpr std::string_view kArm = "arm_fadvise64_64 breakpoint cacheflush";

struct CapabilityCalls {
  unsigned capability;
  std::string_view calls;
};
constexpr CapabilityCalls kByCapability[] = {
    {CAP_DAC_READ_SEARCH, "open_by_handle_at"},
    {CAP_SYS_ADMIN,
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount mount_setattr "
     "move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
     "statmount "
     "syslog umount umount2 unshare"},
    {CAP_SYS_BOOT, "reboot"},
    {CAP_SYS_CHROOT, "chroot"},
    {CAP_SYS_MODULE, "delete_module finit_module init_module"},
    {CAP_SYS_PACCT, "acct"},
    {CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise"},
    {CAP_SYS_RAWIO, "ioperm iopl"},
    {CAP_SYS_TIME, "clock_settime clock_settime64 settimeofday stime"},
    {CAP_SYS_TTY_CONFIG, "vhangup"},
    {CAP_SYS_NICE, "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"},
    {CAP_SYSLOG, "syslog"},
    {CAP_BPF, "bpf"},
    {CAP_PERFMON, "perf_event_open"},
};

// Families that programs in containers use. AF_VSOCK reaches the hypervisor, AF_ALG has been a way out
// (CVE-2026-31431), the obsolete ones are unwatched kernel code (CVE-2017-6074).
constexpr std::uint64_t kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET,
                                       AF_CAN,  AF_TIPC, AF_SMC,   AF_XDP};

// Linux, Linux on i386, both with ADDR_NO_RANDOMIZE off and on as setarch uses them, and "tell me".
constexpr std::uint64_t kPersonalities[] = {0x0, 0x0008, 0x20000, 0x20008, 0xffffffff};

// CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET.
constexpr std::uint64_t kNamespaceFlags = 0x7e020000;

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view word : split(text, ' '))
    if (!word.empty()) out.emplace_back(word);
  return out;
}

oci::LinuxSyscall allow(std::vector<std::string> names) { return {std::move(names), "SCMP_ACT_ALLOW", {}, {}}; }

oci::LinuxSyscall allow_if(std::string name, oci::LinuxSeccompArg condition) {
  return {{std::move(name)}, "SCMP_ACT_ALLOW", {}, {std::move(condition)}};
}

bool has(std::uint64_t capabilities, unsigned number) { return (capabilities >> number & 1) != 0; }

void add_conditional(std::uint64_t capabilities, oci::LinuxSeccomp& profile) {
  for (const std::uint64_t family : kFamilies)
    profile.syscalls.push_back(allow_if("socket", {0, family, 0, "SCMP_CMP_EQ"}));
  for (const std::uint64_t personality : kPersonalities)
    profile.syscalls.push_back(allow_if("personality", {0, personality, 0, "SCMP_CMP_EQ"}));
  if (has(capabilities, CAP_SYS_ADMIN)) return;
  profile.syscalls.push_back(allow_if("clone", {0, kNamespaceFlags, 0, "SCMP_CMP_MASKED_EQ"}));
  // Its flags lie in memory, where a filter cannot look; "not implemented" sends the C library to clone.
  profile.syscalls.push_back({{"clone3"}, "SCMP_ACT_ERRNO", ENOSYS, {}});
}

}  // namespace

oci::LinuxSeccomp default_seccomp_profile(std::uint64_t capabilities, std::uint32_t kernel) {
  oci::LinuxSeccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.default_errno_ret = EPERM;
#if defined(__x86_64__)
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#else
  profile.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#endif
  for (const std::string_view group : {kFiles, kEvents, kMemory, kProcesses, kTime, kIpc, kNetwork, kArm})
    profile.syscalls.push_back(allow(words(group)));
  for (const CapabilityCalls& entry : kByCapability)
    if (has(capabilities, entry.capability)) profile.syscalls.push_back(allow(words(entry.calls)));
  // Before 4.8 ptrace could be used to get around a filter.
  if (kernel < 4008)
    for (auto& entry : profile.syscalls)
      std::erase_if(entry.names, [](const std::string& name) {
        return name == "ptrace" || name == "process_vm_readv" || name == "process_vm_writev";
      });
  add_conditional(capabilities, profile);
  return profile;
}

}  // namespace bryo::runtime

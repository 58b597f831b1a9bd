#include "kernel/user_namespace.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/namespaces.hpp"
#include "kernel/raw.hpp"

// The inode of the first user namespace (PROC_USER_INIT_INO, include/uapi/linux/nsfs.h since 6.18, the same since 3.8).
constexpr ino_t kInitialUserNamespace = 0xEFFFFFFD;

namespace bryo::kernel {
namespace {

// A child that only stands in a new user namespace, so that it can be given maps from outside and be entered.
class Standin {
 public:
  Standin() {
    clone_args arguments{};
    arguments.flags = CLONE_NEWUSER;
    arguments.exit_signal = SIGCHLD;
    const pid_t parent = raw::own_pid();
    const int child = raw::clone3(arguments);
    if (child == 0) stand(parent);
    if (child < 0) throw Error::from_errno(-child, "make a user namespace (clone3 CLONE_NEWUSER)");
    pid_ = child;
  }
  ~Standin() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Standin(const Standin&) = delete;
  Standin& operator=(const Standin&) = delete;
  pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void stand(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) raw::call(SYS_pause);
    raw::call(SYS_exit_group, 0);
    __builtin_unreachable();
  }
  pid_t pid_ = -1;
};

void become_zero(bool keep_groups) {
  if (!keep_groups && ::setgroups(0, nullptr) != 0) fail_errno("give up the supplementary groups (setgroups)");
  if (const int result = raw::setresgid(0); result < 0) throw Error::from_errno(-result, "become gid 0 (setresgid)");
  if (const int result = raw::setresuid(0); result < 0) throw Error::from_errno(-result, "become uid 0 (setresuid)");
}

}  // namespace

void enter_new_user_namespace(const std::function<void(pid_t pid)>& write_maps, bool keep_groups) {
  const Standin standin;
  write_maps(standin.pid());
  const UniqueFd made = open_namespace(standin.pid(), "user");
  if (::setns(made.get(), CLONE_NEWUSER) != 0) fail_errno("enter the new user namespace (setns)");
  become_zero(keep_groups);
}

void enter_new_mount_namespace(unsigned long propagation) {
  if (::unshare(CLONE_NEWNS) != 0) fail_errno("make a mount namespace (unshare CLONE_NEWNS)");
  if (::mount(nullptr, "/", nullptr, MS_REC | propagation, nullptr) != 0)
    fail_errno("set the propagation of all mounts");
}

void join_user_and_mount_namespace(pid_t pid, bool keep_groups) {
  const UniqueFd process(raw::pidfd_open(pid));
  if (!process) fail(ErrorKind::not_found, "process {} is gone", pid);
  const UniqueFd user = open_namespace(pid, "user");
  const UniqueFd mounts = open_namespace(pid, "mnt");
  // Still the same process: the descriptors are its.
  if (raw::pidfd_send_signal(process.get(), 0) == -ESRCH) fail(ErrorKind::not_found, "process {} is gone", pid);
  if (::setns(user.get(), CLONE_NEWUSER) != 0) fail_errno("enter the user namespace of process {} (setns)", pid);
  if (::setns(mounts.get(), CLONE_NEWNS) != 0) fail_errno("enter the mount namespace of process {} (setns)", pid);
  become_zero(keep_groups);
}

bool in_initial_user_namespace() {
  struct stat info {};
  if (::stat("/proc/self/ns/user", &info) != 0) fail_errno("stat /proc/self/ns/user");
  return info.st_ino == kInitialUserNamespace;
}

bool owned_by_own_user_namespace(const std::string& path) {
  const UniqueFd asked(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!asked) fail_errno("open {}", path);
  const UniqueFd owner(::ioctl(asked.get(), NS_GET_USERNS));
  if (!owner) return false;
  const UniqueFd own = open_namespace(::getpid(), "user");
  return same_namespace(owner.get(), own.get());
}

void execute_self_again(const std::vector<std::string>& arguments) {
  std::string name = program_invocation_name;
  std::vector<char*> words{name.data()};
  std::vector<std::string> copies = arguments;
  for (std::string& word : copies) words.push_back(word.data());
  words.push_back(nullptr);
  ::execv("/proc/self/exe", words.data());
  fail_errno("execute this program again (/proc/self/exe)");
}

}  // namespace bryo::kernel

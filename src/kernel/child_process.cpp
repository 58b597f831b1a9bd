#include "kernel/child_process.hpp"

#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

constexpr std::size_t kMaxChildren = 1U << 20;

// Direct children, as /proc/self/task/TID/children tells (proc(5)); of a process with one thread.
std::vector<pid_t> own_children() {
  const UniqueFd file = open_at(AT_FDCWD, fmt::format("/proc/self/task/{}/children", raw::own_pid()), O_RDONLY);
  std::istringstream text(read_file(file.get(), kMaxChildren));
  std::vector<pid_t> out;
  for (pid_t pid = 0; text >> pid;) out.push_back(pid);
  return out;
}

}  // namespace

ChildProcess clone_process(std::uint64_t namespaces) {
  int process = -1;
  clone_args arguments{};
  arguments.flags = namespaces | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&process);
  arguments.exit_signal = SIGCHLD;
  const int pid = raw::clone3(arguments);
  if (pid < 0) throw Error::from_errno(-pid, "start a process with new namespaces (clone3)");
  if (pid == 0) return {};
  return {pid, UniqueFd(process)};
}

void unshare_namespaces(std::uint64_t namespaces) {
  if (::unshare(static_cast<int>(namespaces)) != 0) fail_errno("make new namespaces (unshare {:#x})", namespaces);
}

void join_user_namespace(int namespace_fd) {
  if (::setns(namespace_fd, CLONE_NEWUSER) != 0) fail_errno("enter a user namespace (setns)");
  become_namespace_zero();
}

void become_namespace_zero() {
  if (::setgroups(0, nullptr) != 0) fail_errno("give up the supplementary groups (setgroups)");
  if (const int result = raw::setresgid(0); result < 0) throw Error::from_errno(-result, "become gid 0 (setresgid)");
  if (const int result = raw::setresuid(0); result < 0) throw Error::from_errno(-result, "become uid 0 (setresuid)");
}

void allow_inspection() { raw::prctl(PR_SET_DUMPABLE, 1); }

void adopt_orphans() {
  if (const int result = raw::prctl(PR_SET_CHILD_SUBREAPER, 1); result < 0)
    throw Error::from_errno(-result, "adopt orphans (prctl PR_SET_CHILD_SUBREAPER)");
}

void die_with_parent(pid_t parent, int signal) {
  raw::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(signal));
  if (::getppid() != parent) ::raise(signal);
}

void end_all_children(pid_t spared) {
  while (true) {
    bool any = false;
    for (const pid_t pid : own_children()) {
      if (pid == spared) continue;
      ::kill(pid, SIGKILL);
      // Its children are ours then: the next look finds them.
      any = ::waitpid(pid, nullptr, 0) == pid || any;
    }
    if (!any) return;
  }
}

int execute(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments.front(), arguments.data());
  return errno;
}

UniqueFd read_signals(const std::vector<int>& signals, sigset_t* before) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : signals) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, before) != 0) fail_errno("block signals (sigprocmask)");
  UniqueFd out(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out) fail_errno("read signals (signalfd)");
  return out;
}

}  // namespace bryo::kernel
